"""Span corruption and prefix language modelling against examples worked out by hand."""

from collections import Counter

import numpy as np
import pytest

from archbench.api import IGNORE_TARGET, ExampleContext, SpecError, Windows
from archbench.contracts.objective import model_vocab_size, special_token_ids
from archbench.testing.text import RandomText
from archbench_denoising.prefix_lm import PrefixLmConfig
from archbench_denoising.span_corruption import Sizes, SpanCorruptionConfig, corrupted, drawn_spans

WORDS = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]


def windows_of(
    config: PrefixLmConfig | SpanCorruptionConfig, rows: int, seq_len: int
) -> tuple[Windows, ExampleContext]:
    text = RandomText.drawn(20_000, 250)
    windows = text.windows(np.arange(rows), stride=config.stride(seq_len), lookahead=config.lookahead, step=3, seed=1)
    special = special_token_ids(250, config)
    return windows, ExampleContext(text, seq_len, model_vocab_size(250, config), 250, special)


def test_the_example_of_the_paper() -> None:
    # Figure 2 of Raffel et al. 2020: "for inviting" and "last" are dropped out.
    text = np.arange(len(WORDS))
    names = dict(enumerate(WORDS)) | {100: "<X>", 101: "<Y>", 102: "<Z>"}
    inputs, targets = corrupted(text, np.array([2, 4, 2]), np.array([2, 1]), [100, 101, 102])
    assert " ".join(names[int(one)] for one in inputs) == "Thank you <X> me to your party <Y> week ."
    assert " ".join(names[int(one)] for one in targets) == "<X> for inviting <Y> last <Z>"


def test_spans_at_both_ends_leave_empty_gaps() -> None:
    inputs, targets = corrupted(np.arange(4), np.array([0, 1, 0]), np.array([1, 2]), [90, 91, 92])
    assert inputs.tolist() == [90, 1, 91]
    assert targets.tolist() == [90, 0, 91, 2, 3, 92]


def test_parts_that_are_not_the_text_are_refused() -> None:
    with pytest.raises(ValueError, match="do not make up the text"):
        corrupted(np.arange(5), np.array([0, 1, 0]), np.array([1, 2]), [90, 91, 92])


def test_the_published_settings_fill_128_positions_to_the_last() -> None:
    sizes = SpanCorruptionConfig().sizes(128)
    # 6 spans of 17 tokens in 116; with 6 sentinels in the input and 7 in the targets, the last of which is not read.
    assert sizes == Sizes(text=116, noise=17, spans=6)
    assert (sizes.prefix, sizes.predicted) == (105, 24)
    assert sizes.prefix + sizes.predicted == 128 + 1


@pytest.mark.parametrize("seq_len", [8, 31, 100, 512, 1024])
@pytest.mark.parametrize(("density", "mean"), [(0.15, 3.0), (0.5, 8.0), (0.3, 5.0)])
def test_rows_are_full_at_every_length(seq_len: int, density: float, mean: float) -> None:
    sizes = SpanCorruptionConfig(noise_density=density, mean_span_length=mean).sizes(seq_len)
    assert sizes.prefix + sizes.predicted == seq_len + 1
    if seq_len >= 100:
        assert sizes.noise / sizes.text == pytest.approx(density, abs=0.01)
        assert sizes.noise / sizes.spans == pytest.approx(mean, rel=0.25)


def test_a_row_can_be_put_together_again() -> None:
    config = SpanCorruptionConfig()
    windows, context = windows_of(config, 50, 128)
    batch, prefix = config.examples(windows, context), config.sizes(128).prefix
    is_sentinel = batch["tokens"] >= 250
    for row in range(50):
        sequence = [*batch["tokens"][row], batch["targets"][row, -1]]
        inputs, targets = sequence[:prefix], sequence[prefix:]
        spans: dict[int, list[int]] = {}
        last = -1
        for token in targets:
            if token >= 250:
                spans[token], last = [], token
            else:
                spans[last].append(token)
        restored = [part for token in inputs for part in (spans[token] if token >= 250 else [token])]
        assert restored == windows.tokens[row].tolist()
        assert [token for token in inputs if token >= 250] == list(range(250, 256))
        assert spans.popitem() == (256, [])
    assert (batch["prefix_len"] == prefix).all()
    assert np.array_equal(batch["targets"][:, : prefix - 1], np.full((50, prefix - 1), IGNORE_TARGET))
    assert np.array_equal(batch["targets"][:, prefix - 1 : -1], batch["tokens"][:, prefix:])
    assert is_sentinel[:, :prefix].sum() == 6 * 50


def test_all_places_are_corrupted_equally_often_but_the_edges() -> None:
    sizes, hits = Sizes(text=40, noise=6, spans=2), np.zeros(40)
    generator = np.random.default_rng(0)
    for _ in range(4000):
        gaps, lengths = drawn_spans(sizes, generator)
        bounds = np.cumsum(np.stack([gaps[:-1], lengths], axis=1).ravel())
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            hits[start:end] += 1
    shares = hits / 4000
    # A place at the edge lies in fewer spans; 0.15 on average, of 4,000 draws five standard deviations are 0.03.
    assert shares.mean() == pytest.approx(0.15, abs=1e-12)
    assert np.abs(shares[6:-6] - shares[6:-6].mean()).max() < 0.03
    assert shares[0] > 0.02


def test_all_ways_to_place_spans_are_equally_likely() -> None:
    sizes, generator = Sizes(text=6, noise=3, spans=2), np.random.default_rng(1)
    drawn = Counter(
        (tuple(gaps.tolist()), tuple(lengths.tolist()))
        for gaps, lengths in (drawn_spans(sizes, generator) for _ in range(12_000))
    )
    # Three kept tokens in three gaps, the middle one not empty: 6 ways; three tokens in two spans: 2 ways.
    assert len(drawn) == 12
    # 1,000 each, five standard deviations of a binomial count.
    assert all(abs(count - 1000) < 5 * 30.3 for count in drawn.values())


@pytest.mark.parametrize(
    ("config", "seq_len", "message"),
    [
        (SpanCorruptionConfig(noise_density=0.9, mean_span_length=1.0), 128, "lower noise_density"),
        (SpanCorruptionConfig(), 3, "training.seq_len"),
        (SpanCorruptionConfig(), 4096, "need 187 sentinels, there are 100; raise mean_span_length"),
    ],
)
def test_what_cannot_be_laid_out_is_one_clear_line(config: SpanCorruptionConfig, seq_len: int, message: str) -> None:
    with pytest.raises(SpecError, match=message) as raised:
        config.stride(seq_len)
    assert "\n" not in str(raised.value)


def test_a_prefix_ends_where_prediction_begins() -> None:
    config = PrefixLmConfig()
    windows, context = windows_of(config, 400, 64)
    batch = config.examples(windows, context)
    for row in (0, 7, 399):
        length = int(batch["prefix_len"][row])
        predicted = np.flatnonzero(batch["targets"][row] != IGNORE_TARGET)
        assert predicted.tolist() == list(range(length - 1, 64))
        assert np.array_equal(batch["targets"][row, length - 1 :], windows.tokens[row, length:])
    assert np.array_equal(batch["tokens"], windows.tokens[:, :-1])
    # Uniform over 1 to 64: mean 32.5, standard deviation 18.5 / sqrt(400), four of them.
    assert batch["prefix_len"].mean() == pytest.approx(32.5, abs=4 * 18.5 / 20)
    assert (batch["prefix_len"].min(), batch["prefix_len"].max()) == (1, 64)
