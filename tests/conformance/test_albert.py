"""The conformance suite on ALBERT, its logits against the library's own model, and what sharing layers means."""

import pytest
from transformers.models.albert.configuration_albert import AlbertConfig as LibraryConfig
from transformers.models.albert.modeling_albert import AlbertForMaskedLM

from archbench.api import Attention, ModelDims
from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench.testing.probes import seeded_model
from archbench.testing.reference_logits import assert_reference_logits
from archbench_albert.config import AlbertConfig

BASE = ModelDims(vocab_size=30000, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)


class TestAlbert(ArchitectureConformance):
    config = AlbertConfig()
    plugin = "archbench_albert.plugin"


class TestAlbertWithNarrowEmbeddings(ArchitectureConformance):
    config = AlbertConfig(embedding_size=8)


@pytest.mark.gpu
class TestAlbertOnCuda(ArchitectureOnCuda):
    config = AlbertConfig()


def test_logits_equal_those_of_the_library() -> None:
    dims = TestAlbert().shape()
    ours = seeded_model(AlbertConfig(), dims, Attention.BIDIRECTIONAL)
    library = AlbertForMaskedLM(
        LibraryConfig(
            vocab_size=dims.vocab_size,
            embedding_size=dims.d_model // 2,
            max_position_embeddings=dims.seq_len,
            hidden_size=dims.d_model,
            num_hidden_layers=dims.n_layers,
            num_attention_heads=dims.n_heads,
            intermediate_size=dims.d_ff,
            attn_implementation="eager",
        )
    )
    assert_reference_logits(ours, library, dims)


def test_parameters_of_the_published_base_model_are_11_million() -> None:
    # albert-base-v2 has 11,221,680 parameters with its masked-LM head and without its pooler.
    assert AlbertConfig().num_params(BASE).total == 11_221_680


def test_layers_cost_flops_and_no_parameters() -> None:
    config = AlbertConfig()
    twice = BASE.model_copy(update={"n_layers": 24})
    assert config.num_params(twice) == config.num_params(BASE)
    components = config.forward_flops_per_token(BASE, Attention.BIDIRECTIONAL).components
    deeper = config.forward_flops_per_token(twice, Attention.BIDIRECTIONAL).components
    of_layers = {"attention_projections", "attention_scores", "feed_forward"}
    assert {name for name in components if deeper[name] == 2 * components[name]} == of_layers
    assert all(deeper[name] == components[name] for name in components.keys() - of_layers)


def test_one_block_serves_all_layers() -> None:
    model = seeded_model(AlbertConfig(), TestAlbert().shape(), Attention.BIDIRECTIONAL)
    queries = [name for name, _ in model.named_parameters() if name.endswith("query.weight")]
    assert len(queries) == 1


def test_a_rung_has_the_depth_of_its_width_whatever_the_size_asked_for() -> None:
    rungs = [AlbertConfig().sized_for(1e4 * 1.1**step, vocab_size=264, seq_len=128) for step in range(80)]
    depths = {rung.d_model: rung.n_layers for rung in rungs}
    assert all(depths[rung.d_model] == rung.n_layers for rung in rungs)
    assert list(dict(sorted(depths.items())).values()) == sorted(depths.values())


def test_attention_to_one_side_is_refused() -> None:
    with pytest.raises(ValueError, match="has bidirectional attention"):
        AlbertConfig().build(TestAlbert().shape(), Attention.CAUSAL)
