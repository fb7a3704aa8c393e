"""What `compare` says in sentences; a table of its figures stands beside them."""

from collections.abc import Iterator

from archbench.answers.comparisons import Compared
from archbench.report.answer import answer_sentence, main_axis
from archbench.report.labels import Labels, labels_of
from archbench.report.question_words import exponent_words
from archbench.report.ranked import basis, ranked_lines
from archbench.report.reference_lines import places_text
from archbench.report.verdict import details
from archbench.report.words import number, with_interval
from archbench.results.fits import Comparison, ComparisonAt
from archbench.results.published import published_lines

COLUMNS = 120
"""Letters of a line of the ranked table."""


def verdict_lines(one: Compared) -> Iterator[str]:
    """The verdict, what it must be read with, and its detail, a line each; stands above the table."""
    yield answer_sentence(one.results)
    yield from ranked_lines(one.results, COLUMNS)
    yield from filter(None, [basis(one.results)])
    yield from (f"- {line}" for line in details(one.results))
    yield from (f"- Mind: {words}." for words in one.mind)
    yield from (f"- {words}." for words in published_lines(one.sides.records))
    yield from (f"- {words}." for words in places_text(one.sides.records))


def lines_below(one: Compared) -> Iterator[str]:
    """What the figures are read from, and exponents in words; nothing where nothing compares."""
    if not one.comparisons:
        return
    yield from dict.fromkeys(f"- {_read_from(pair)}" for pair in one.comparisons)
    axis = main_axis(one.results)
    for pair in one.comparisons:
        if pair.cost_axis is axis and (words := exponent_words(pair)):
            yield f"- {pair.contender}: {words}" if len(one.sides.contenders) > 1 else f"- {words}"
    if one.sides.num_others:
        of = one.sides.num_others + 2
        yield f"- One pair of {of} contenders: p is of this pair alone; the scan's report corrects over all."


def place_lines(one: Compared) -> Iterator[str]:
    """What the comparison says at each cost and loss that was asked for."""
    labels = labels_of(one.sides.records)
    (contender, *_) = one.sides.contenders
    return (f"- {_place_words(place, one.sides.baseline, contender, labels)}" for place in one.places)


def _read_from(pair: Comparison) -> str:
    """What both frontiers are read from, why, and the sizes that were left out of it."""
    notes = "; ".join(pair.notes)
    return f"Read from: {pair.form}{f' ({notes})' if notes else ''}."


def _place_words(place: ComparisonAt, a: str, b: str, labels: Labels) -> str:
    axis = labels.axis_names[place.cost_axis]
    where = (
        f"at {number(place.cost)} {axis}"
        if place.cost is not None
        else f"at {number(place.loss_nats or 0.0, 4)} {labels.nats}, {axis}"
    )
    if place.multiplier is None:
        return f"{where}: {place.status.value}: {place.reason}"
    gap = f"; {b}'s loss less {a}'s: {with_interval(place.loss_gap_nats)} {labels.nats}" if place.loss_gap_nats else ""
    beyond = f" (extrapolated: {place.reason})" if place.extrapolated else ""
    return f"{where}: multiplier {with_interval(place.multiplier)}{gap}{beyond}"
