"""The conformance suite on BERT, and its logits against the library's own model."""

import pytest
from transformers.models.bert.configuration_bert import BertConfig as LibraryConfig
from transformers.models.bert.modeling_bert import BertForMaskedLM, BertLMHeadModel

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import seeded_model
from archbench.testing.reference_logits import assert_reference_logits
from archbench_bert.config import BertConfig


class TestBert(ArchitectureConformance):
    config = BertConfig()
    plugin = "archbench_bert.plugin"


@pytest.mark.gpu
class TestBertOnCuda(ArchitectureOnCuda):
    config = BertConfig()


@pytest.mark.parametrize("attention", [Attention.CAUSAL, Attention.BIDIRECTIONAL])
def test_logits_equal_those_of_the_library(attention: Attention) -> None:
    dims = TestBert().shape()
    ours = seeded_model(BertConfig(), dims, attention)
    causal = attention is Attention.CAUSAL
    library = (BertLMHeadModel if causal else BertForMaskedLM)(
        LibraryConfig(
            vocab_size=dims.vocab_size,
            max_position_embeddings=dims.seq_len,
            hidden_size=dims.d_model,
            num_hidden_layers=dims.n_layers,
            num_attention_heads=dims.n_heads,
            intermediate_size=dims.d_ff,
            is_decoder=causal,
            attn_implementation="eager",
        )
    )
    assert_reference_logits(ours, library, dims)


def test_parameters_of_the_published_base_model_are_110_million() -> None:
    dims = ModelDims(vocab_size=30522, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    # bert-base-uncased has 109,514,298 parameters with its masked-LM head and without its pooler.
    assert BertConfig().num_params(dims).total == 109_514_298
