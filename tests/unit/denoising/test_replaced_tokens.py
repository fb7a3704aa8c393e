"""Replaced-token detection: its loss by hand, what is trained by what, and what it costs."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from archbench.api import Attention, ModelDims
from archbench.contracts.objective import trained_flops, trained_params
from archbench.flops.dry_run import counted_step
from archbench.nn.language_model import LanguageModel
from archbench.testing.probes import seeded_model
from archbench.testing.text import RandomText
from archbench_bert.config import BertConfig
from archbench_denoising.generator import DetectionHead, sampled
from archbench_denoising.replaced_tokens import ReplacedTokenDetectionConfig

DIMS = ModelDims(vocab_size=56, seq_len=16, d_model=24, n_layers=2, n_heads=4, d_ff=96)
CONFIG = ReplacedTokenDetectionConfig()


def built() -> tuple[LanguageModel, DetectionHead, dict[str, Tensor]]:
    model = seeded_model(BertConfig(), DIMS, Attention.BIDIRECTIONAL)
    head = CONFIG.build_head(DIMS)
    assert isinstance(head, DetectionHead)
    text = RandomText.drawn(2000, 50)
    windows = text.windows(np.arange(4), stride=16, lookahead=0, step=0, seed=0)
    positions = np.tile([3, 9], (4, 1))
    tokens = windows.tokens.copy()
    np.put_along_axis(tokens, positions, 50, axis=1)
    arrays = {
        "tokens": tokens,
        "targets": windows.tokens,
        "positions": positions,
        "position_targets": np.take_along_axis(windows.tokens, positions, axis=1),
        "draws": np.random.default_rng(0).integers(2**53, size=(4, 2)),
    }
    return model, head, {name: torch.from_numpy(array) for name, array in arrays.items()}


def test_the_loss_is_that_of_the_paper_written_out() -> None:
    model, head, batch = built()
    parts = CONFIG.loss(model, head, batch, None)
    logits = model.logits(head.generator(batch["tokens"], batch["positions"]))
    probabilities = logits.softmax(-1).detach()
    generator_loss = -probabilities.gather(-1, batch["position_targets"][..., None]).log().mean()
    shown = batch["targets"].clone()
    for row in range(4):
        for place in range(2):
            draw, token = int(batch["draws"][row, place]) / 2**53, 0
            while float(probabilities[row, place, : token + 1].sum()) <= draw:
                token += 1
            shown[row, batch["positions"][row, place]] = token
    was_replaced = (shown != batch["targets"]).double()
    chance = torch.sigmoid(head(model.encode(shown).hidden)).double()
    by_hand = -(was_replaced * chance.log() + (1 - was_replaced) * (1 - chance).log()).sum()
    # Sums of 64 terms in fp32.
    assert parts.nats.item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert int(parts.predictions) == 4 * 16
    assert parts.auxiliary is not None
    assert parts.auxiliary.item() == pytest.approx(generator_loss.item() / 50.0, rel=1e-5)
    assert 0 < was_replaced.sum() <= 8


def test_a_token_that_the_generator_guesses_right_counts_as_original() -> None:
    model, head, batch = built()
    batch["position_targets"] = torch.full_like(batch["position_targets"], 7)
    batch["targets"] = batch["targets"].scatter(1, batch["positions"], 7)
    with torch.no_grad():
        # A model whose output is token 7 whatever it sees, and a classifier that is sure of "original".
        model.model.cls.predictions.bias[7] = 100.0
        head.classifier[-1].weight.zero_()
        head.classifier[-1].bias.fill_(-3.0)
    parts = CONFIG.loss(model, head, batch, None)
    assert parts.nats.item() == pytest.approx(64 * math.log1p(math.exp(-3.0)), rel=1e-5)


def test_an_untrained_model_decides_by_tossing_a_coin() -> None:
    model, head, batch = built()
    parts = CONFIG.loss(model, head, batch, None)
    assert parts.nats.item() / int(parts.predictions) == pytest.approx(math.log(2), abs=0.02)


def test_the_model_learns_from_both_losses_and_the_generator_from_its_own() -> None:
    model, head, batch = built()
    parts = CONFIG.loss(model, head, batch, None)
    torch.autograd.backward(parts.nats)
    of_generator = [p.grad for p in head.generator.parameters()]
    assert of_generator == [None] * len(of_generator), "the decisions' gradient reaches the generator"
    trunk = [p for name, p in model.named_parameters() if "encoder" in name]
    assert all(p.grad is not None and bool(p.grad.any()) for p in trunk)
    model.zero_grad()
    parts = CONFIG.loss(model, head, batch, None)
    assert parts.auxiliary is not None
    torch.autograd.backward(parts.nats + parts.auxiliary)
    unused = [name for name, p in [*model.named_parameters(), *head.named_parameters()] if p.grad is None]
    assert unused == []


def test_samples_follow_the_probabilities() -> None:
    logits = torch.log(torch.tensor([0.5, 0.125, 0.375])).expand(1, 80_000, 3)
    draws = torch.rand(1, 80_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shares = torch.bincount(sampled(logits, draws).flatten(), minlength=3) / 80_000
    # Five standard deviations of a share of 80,000 draws.
    assert shares.tolist() == pytest.approx([0.5, 0.125, 0.375], abs=5 * 0.5 / math.sqrt(80_000))
    edges = torch.tensor([[0.0, 0.5, 0.7, 1.0 - 2.0**-53]], dtype=torch.float64)
    assert sampled(logits[:, :4], edges).tolist() == [[0, 1, 2, 2]]


def test_samples_do_not_depend_on_how_the_batch_is_cut() -> None:
    _, head, batch = built()
    logits = head.generator(batch["tokens"], batch["positions"])
    draws = batch["draws"] * 2.0**-53
    whole = sampled(logits, draws)
    cut = torch.cat([sampled(logits[part], draws[part]) for part in (slice(0, 1), slice(1, 4))])
    # Products of other shapes round differently: a draw within that rounding of an edge may fall on either side of it.
    edges = logits.double().softmax(-1).cumsum(-1)
    clear = (edges - draws[..., None]).abs().amin(-1) > 1e-6
    assert clear.float().mean() > 0.99
    assert torch.equal(whole[clear], cut[clear])


@pytest.mark.parametrize(
    ("heads", "share", "expected"), [(4, 0.25, (1, 6, 24)), (4, 0.5, (2, 12, 48)), (1, 0.25, (1, 24, 96))]
)
def test_the_generator_has_fewer_heads_of_the_same_width(heads: int, share: float, expected: tuple[int, ...]) -> None:
    config = ReplacedTokenDetectionConfig(generator_size=share)
    small = config.generator_dims(DIMS.model_copy(update={"n_heads": heads}))
    assert (small.n_heads, small.d_model, small.d_ff) == expected
    assert small.n_layers == DIMS.n_layers


def test_the_generator_of_the_published_base_model_is_a_third_as_wide() -> None:
    base = ModelDims(vocab_size=30522, seq_len=512, d_model=768, n_layers=12, n_heads=12, d_ff=3072)
    small = ReplacedTokenDetectionConfig(generator_size=1 / 3).generator_dims(base)
    assert (small.d_model, small.n_heads, small.d_ff) == (256, 4, 1024)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_flops_of_model_generator_and_classifier_equal_the_counters(share: float) -> None:
    config, architecture = ReplacedTokenDetectionConfig(generator_size=share), BertConfig()
    flops = trained_flops(architecture, config, DIMS)
    counted = counted_step(architecture, DIMS, config)
    fraction = config.predicted_fraction(DIMS.seq_len)
    assert flops.forward(fraction) == pytest.approx(counted.forward.per_token, rel=1e-9)
    assert flops.train(fraction) == pytest.approx(counted.train.per_token, rel=1e-9)


def test_the_generators_tables_are_embeddings_and_its_blocks_are_part_of_n() -> None:
    alone, together = BertConfig().num_params(DIMS), trained_params(BertConfig(), CONFIG, DIMS)
    tables = (56 + 16) * 6
    assert together.embedding - alone.embedding == tables
    assert together.total - alone.total == CONFIG.num_head_params(DIMS)
    assert CONFIG.num_head_params(DIMS) == sum(p.numel() for p in CONFIG.build_head(DIMS).parameters())


def test_a_forgotten_head_is_an_error() -> None:
    model, _, batch = built()
    with pytest.raises(ValueError, match="needs the module of build_head"):
        CONFIG.loss(model, None, batch, None)
