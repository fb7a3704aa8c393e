"""The conformance suite on RoBERTa, and its logits against the library's own model."""

import pytest
import torch
from transformers.models.roberta.configuration_roberta import RobertaConfig as LibraryConfig
from transformers.models.roberta.modeling_roberta import RobertaForCausalLM, RobertaForMaskedLM

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import random_tokens, seeded_model
from archbench_roberta.config import RobertaConfig


class TestRoberta(ArchitectureConformance):
    config = RobertaConfig()
    plugin = "archbench_roberta.plugin"


@pytest.mark.gpu
class TestRobertaOnCuda(ArchitectureOnCuda):
    config = RobertaConfig()


@pytest.mark.parametrize("attention", [Attention.CAUSAL, Attention.BIDIRECTIONAL])
def test_logits_equal_those_of_the_library_which_counts_positions_from_2(attention: Attention) -> None:
    dims = TestRoberta().shape()
    ours = seeded_model(RobertaConfig(), dims, attention)
    causal = attention is Attention.CAUSAL
    library = (RobertaForCausalLM if causal else RobertaForMaskedLM)(
        LibraryConfig(
            vocab_size=dims.vocab_size,
            max_position_embeddings=dims.seq_len + 2,
            hidden_size=dims.d_model,
            num_hidden_layers=dims.n_layers,
            num_attention_heads=dims.n_heads,
            intermediate_size=dims.d_ff,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            is_decoder=causal,
            attn_implementation="eager",
        )
    ).eval()
    weights = dict(zip(library.state_dict(), ours.state_dict().values(), strict=True))
    positions = "roberta.embeddings.position_embeddings.weight"
    weights[positions] = torch.cat([torch.zeros(2, dims.d_model), weights[positions]])
    library.load_state_dict(weights)
    tokens = random_tokens(2, dims)
    # The library's padding token 1 skips a position, so the text here has none.
    tokens[tokens == 1] = 2
    # Another kernel sums in another order: rounding of fp32.
    torch.testing.assert_close(ours(tokens), library(tokens).logits, atol=1e-5, rtol=1e-4)


def test_the_librarys_padding_token_moves_no_position() -> None:
    dims = TestRoberta().shape()
    model = seeded_model(RobertaConfig(), dims, Attention.CAUSAL)
    tokens = torch.full((1, dims.seq_len), 1)
    hidden = model.encode(tokens).hidden[0]
    distances = (hidden[1:] - hidden[:-1]).abs().amax(-1)
    assert distances.min() > 1e-3, "two neighbouring positions of a text of token 1 look the same"


def test_parameters_of_the_published_base_model_are_125_million() -> None:
    # roberta-base has 124,697,433 parameters with its masked-LM head, two positions of which (0 and 1) are never used.
    dims = ModelDims(vocab_size=50265, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    assert RobertaConfig().num_params(dims).total == 124_697_433 - 2 * 768
