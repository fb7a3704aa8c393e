"""The result in words: what a reader should take away, with its interval and its reservations."""

from collections.abc import Sequence

from archbench.analysis.comparison.compare import (
    Conclusion,
    CostConclusion,
    conclusion,
    cost_conclusion,
    is_resolved,
)
from archbench.analysis.comparison.multiplier import asked_window
from archbench.analysis.comparison.tokens_apart import tokens_apart
from archbench.analysis.frontier.prefix_audits import leaking_contenders
from archbench.analysis.frontier.reading import Form
from archbench.analysis.frontier.tuning import analyse_tuning, tuning_warnings
from archbench.analysis.significance import visible_difference
from archbench.contracts.report import ScanResults
from archbench.display import markdown_line, markdown_text
from archbench.report.collapses import collapse_warnings
from archbench.report.labels import Labels, labels_of
from archbench.report.question_words import (
    answer_words,
    control_lines,
    marked,
    rung_words,
)
from archbench.report.words import (
    alpha_text,
    crossover_text,
    gain_text,
    known,
    number,
    p_text,
    tiers_text,
    unresolved_gains,
    window_text,
    with_interval,
)
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.bits_per_byte import bits_per_byte_factor
from archbench.results.choices import unequal_choices
from archbench.results.evaluations import unlike_evaluations
from archbench.results.executed_flops import without_executed_flops
from archbench.results.fits import (
    Comparison,
    FitStatus,
    FrontierResult,
    GainOutcome,
    HeadlineMultiplier,
    Interval,
    SizeGain,
    SizeLeadership,
)
from archbench.results.published import seconds_left_out
from archbench.results.runs import CostAxis, RunRecord, size_number

_NO_BASELINE = "No baseline is named, and so no multiplier stands here: `archbench compare A B` gives one."
_FEW_SIZES = 2
"""Unresolved sizes that are given one by one; the table of sizes has all."""


def main_axis(results: ScanResults) -> CostAxis:
    """The axis that verdicts are given on: FLOPs executed, as far as there are any."""
    axes = {frontier.cost_axis for frontier in results.frontiers}
    preferred = (CostAxis.EXACT, CostAxis.KAPLAN, CostAxis.PROCESSOR_SECONDS, CostAxis.DEVICE_SECONDS)
    return next((axis for axis in preferred if axis in axes), CostAxis.EXACT)


def headline(results: ScanResults) -> str:
    """What a reader should keep if he reads no more: a sentence on each contender, each a paragraph; may be empty."""
    axis = main_axis(results)
    against = {
        pair.contender: pair
        for pair in results.comparisons
        if pair.cost_axis is axis and pair.baseline == results.baseline and pair.comparable_loss
    }
    sentences = []
    for frontier in results.frontiers:
        if frontier.cost_axis is axis:
            pair = against.get(frontier.contender)
            said = _cost_words(results, pair) if pair is not None else _fall_words(frontier)
            doubtful = results.controls if pair is not None else ()
            sentences.append(
                f"**{markdown_text(frontier.contender)}** "
                + markdown_line(marked(f"{said}; its frontier is {_tier_words(frontier)}.", doubtful))
            )
    failed = [one for one in results.controls if one.passed is False]
    sentences = [markdown_line(line) for line in control_lines(failed)] + sentences
    return "\n\n".join(sentences)


def _cost_words(results: ScanResults, pair: Comparison) -> str:
    found = pair.headline
    if found is None or found.status is not FitStatus.OK or found.multiplier is None:
        return f"is not compared with {pair.baseline}"
    factor = bits_per_byte_factor([run for run in results.records if run.contender in (pair.contender, pair.baseline)])
    doubt = ", not told apart from equal" if cost_conclusion(pair) is CostConclusion.NOT_TOLD_APART else ""
    needs = f"needs {_needs(found.multiplier)} the compute of {pair.baseline}"
    return f"{needs} at {window_text(found, factor)}{doubt}"


def _fall_words(frontier: FrontierResult) -> str:
    if frontier.law.status is not FitStatus.OK:
        return f"has no law that may be read (`{frontier.law.status.value}`)"
    return f"has a loss that falls with compute by the exponent alpha {alpha_text(frontier.law)}"


def _tier_words(frontier: FrontierResult) -> str:
    """`tiered (sizes 3-5)`, `not tiered`, or that this is not resolved; then the sizes that are dominated."""
    if frontier.tiered:
        words = f"tiered (sizes {tiers_text(frontier)})"
    elif not frontier.gains:
        words = "not one of a ladder of sizes" if not frontier.plateau_note else "on the plateau: no tier is read"
    elif unresolved_gains(frontier):
        unresolved = unresolved_gains(frontier)
        are = "are" if len(unresolved) > 1 else "is"
        words = f"not known to be tiered ({_sizes(unresolved)} {are} not resolved)"
    else:
        words = "not tiered"
    dominated = [size for size in frontier.sizes if size.dominated]
    if not dominated:
        return words
    return f"{words}: {_sizes(dominated)} {'are' if len(dominated) > 1 else 'is'} dominated"


def _sizes(sizes: Sequence[SizeGain | SizeLeadership]) -> str:
    return f"{'sizes' if len(sizes) > 1 else 'size'} {_numbers(sizes)}"


def _numbers(sizes: Sequence[SizeGain | SizeLeadership]) -> str:
    return ", ".join(str(size_number(size.size_index)) for size in sizes)


def verdict(results: ScanResults) -> str:
    """One sentence or two on each contender against the baseline, then on tiers; one a line, as Markdown list items."""
    axis = main_axis(results)
    lines = control_lines(results.controls) if results.records else []
    lines += [
        _against_baseline(results, comparison)
        for comparison in results.comparisons
        if comparison.cost_axis is axis and comparison.baseline == results.baseline
    ]
    unit = labels_of(results.records).nats
    lines += [_frontier_words(frontier, unit) for frontier in results.frontiers if frontier.cost_axis is axis]
    without = sorted({record.contender for record in results.records} - {one.contender for one in results.frontiers})
    lines += [f"{name} has no finished run, and so no frontier." for name in without]
    lines += [line for said in results.study_sentences.values() for line in said]
    if not lines and results.studies:
        return "The spec trains no size scan: its studies stand below."
    if lines or results.study_records:
        absent = [name for name in results.spec.get("studies") or () if name not in results.studies]
        lines += [f"Study {name}: no run has finished that it could speak of." for name in absent]
    if not lines:
        return "No run has finished, so there is nothing to compare yet."
    return "\n".join(f"- {line}" for line in lines)


def reservations(results: ScanResults) -> list[str]:
    """What the design of the study cannot see, and other warnings of the verdict's axis; the scan's own come first.

    Contenders with the same warning share a line.
    """
    axis = main_axis(results)
    named: dict[str, list[str]] = {}
    for frontier in results.frontiers:
        if frontier.cost_axis is axis:
            for warning in frontier.warnings:
                named.setdefault(warning, []).append(frontier.contender)
    uncounted = without_executed_flops(results.records)
    if uncounted and axis is CostAxis.EXACT:
        named["executed FLOPs were not counted, 6ND stands in for them"] = uncounted
    tuning = analyse_tuning((*results.records, *results.trials))
    baseless = results.baseline is None and any(pair.comparable_loss for pair in results.comparisons)
    return [
        *results.warnings,
        *([_NO_BASELINE] if baseless else []),
        *([f"{mixed}."] if (mixed := mixed_arithmetic((*results.records, *results.study_records))) else []),
        *([f"{unequal}."] if (unequal := unequal_choices(results.records)) else []),
        *([f"{unlike}."] if (unlike := unlike_evaluations(results.records)) else []),
        *(f"{words}." for words in seconds_left_out(results.records)),
        *(f"{warning}." for warning in (tuning_warnings(tuning) if tuning is not None else ())),
        *(f"{', '.join(names)}: {warning}." for warning, names in named.items()),
        *(f"{warning}." for warning in collapse_warnings(results)),
        *(
            f"{name}: its models gain {with_interval(gain, 2)} nats per token from later tokens, which a causal model "
            "must not see: its losses are too low by so much."
            for name, gain in leaking_contenders(results.records).items()
        ),
    ]


def _against_baseline(results: ScanResults, comparison: Comparison) -> str:
    name, baseline = comparison.contender, comparison.baseline
    if not comparison.comparable_loss:
        apart = f"{name} and {baseline} are of different tracks: their losses do not compare."
        return f"{apart} {_exponent_words(comparison, None, labels_of(results.records))}"
    records = [record for record in results.records if record.contender in (name, baseline)]
    labels, factor = labels_of(records), bits_per_byte_factor(records)
    alone = sum(one.cost_axis is comparison.cost_axis for one in results.comparisons) == 1
    needs = _multiplier_words(comparison, factor, labels)
    exponents = _exponent_words(comparison, factor, labels, alone=alone)
    text = f"{name} {needs} {exponents}"
    text += f" {sized}" if (sized := rung_words(comparison)) else ""
    text += _training_words(records, comparison) + _answer_words(results, comparison)
    text += _time_words(results, comparison, labels)
    if comparison.crossover_cost is not None:
        text += f" The two frontiers cross at {crossover_text(comparison, labels.axis_names)}."
    return marked(text, results.controls)


def _time_words(results: ScanResults, comparison: Comparison, labels: Labels) -> str:
    """The multiplier on measured time: the processor's where all ran on CPUs, which a busy machine hardly changes."""
    if comparison.cost_axis.measured:
        return ""
    for axis in (CostAxis.PROCESSOR_SECONDS, CostAxis.DEVICE_SECONDS):
        timed = _other(results, comparison, axis)
        if timed is not None:
            found = timed.headline
            if found is None or found.status is not FitStatus.OK or found.multiplier is None:
                return ""
            return f" In {labels.cost_words[axis]} it needs {_needs(found.multiplier)}."
    return ""


def _training_words(records: Sequence[RunRecord], comparison: Comparison) -> str:
    """That two ladders had unlike tokens a parameter, which the factor between them holds too; empty where alike."""
    apart = tokens_apart(records, comparison)
    if apart is None:
        return ""
    seen = ", ".join(f"{name} {number(tokens, 2)}" for name, tokens in apart.items())
    return f" Mind: tokens a parameter are unlike at one cost ({seen}); the factor is that of ladders as trained."


def _multiplier_words(comparison: Comparison, factor: float | None, labels: Labels) -> str:
    """How much of the baseline's cost it needs, over which losses, by what it was read, and whether that differs."""
    found = comparison.headline
    cost = labels.cost_words[comparison.cost_axis]
    if found is None or found.multiplier is None:
        why = found.reason if found is not None else "there is none"
        return f"and {comparison.baseline}: no multiplier on {cost} ({why})."
    over = f"over losses of {window_text(found, factor)}"
    if found.status is not FitStatus.OK:
        figure = number(1.0 / found.multiplier.value) if found.multiplier.value > 0 else "∞"
        return (
            f"against {comparison.baseline}: no multiplier on {cost} to rely on (`{found.status.value}`: "
            f"{found.reason}; it would be {figure}x {over})."
        )
    unknown = "" if known(found.multiplier) else " (nothing tells the scatter)"
    told = {
        CostConclusion.NOT_TOLD_APART: f": not told apart from equal{unknown}",
        CostConclusion.REFUSED: "",
        CostConclusion.LESS: "",
        CostConclusion.MORE: "",
    }[cost_conclusion(comparison)]
    words = f"needs {_needs(found.multiplier)} the {cost} of {comparison.baseline} {over}{told}."
    return f"{words}{_trend_words(comparison, found, factor)}"


def answers(results: ScanResults) -> dict[str, Comparison]:
    """The comparison with the baseline that answers the spec's question, by contender.

    On the verdict's axis; a question at a cost is answered on the axis of that cost alone.
    """
    axis = main_axis(results)
    found: dict[str, Comparison] = {}
    for pair in sorted(results.comparisons, key=lambda pair: pair.cost_axis is not axis):
        if pair.answer is not None and pair.baseline == results.baseline:
            found.setdefault(pair.contender, pair)
    return found


def _answer_words(results: ScanResults, comparison: Comparison) -> str:
    """The answer to the spec's question, with the bounds that it rests on; empty where the spec asks none."""
    pair = answers(results).get(comparison.contender)
    if pair is None or pair.answer is None:
        return ""
    cost_name = labels_of(results.records).axis_names[pair.cost_axis]
    return f" {answer_words(pair.answer, cost_name, asked_window(results.spec))}"


def _trend_words(comparison: Comparison, found: HeadlineMultiplier, factor: float | None) -> str:
    """How the figure changes over the window, where it is told apart from constant, and exponents from each other."""
    if found.trend is None or found.trend.covers(1.0) or len(found.at) < 2:
        return ""
    if conclusion(comparison) is Conclusion.NOT_TOLD_APART:
        return ""
    ends = [
        f"{number(1.0 / point.multiplier.value)}x at {number(point.loss_nats * (factor or 1.0), 4)}"
        for point in found.at[:2]
        if point.multiplier.value > 0
    ]
    way = "falls" if found.trend.value > 1.0 else "rises"
    return f" That share {way} with scale, from {' to '.join(ends)}." if len(ends) == 2 else ""


def _needs(multiplier: Interval) -> str:
    """The share of the baseline's cost that is needed, with its interval: the multiplier's inverse."""
    if not known(multiplier):
        return f"{_inverse(multiplier.value)}x (interval unknown)"
    return f"{_inverse(multiplier.value)}x [{_inverse(multiplier.high)}, {_inverse(multiplier.low)}]"


def _inverse(value: float) -> str:
    return number(1.0 / value) if value > 0 else "∞"


def _exponent_words(comparison: Comparison, factor: float | None, labels: Labels, *, alone: bool = False) -> str:
    """What is said of two exponents; alone: nothing else was compared, so that nothing was corrected."""
    difference = comparison.alpha_difference
    if difference is None:
        return "No law, and so no exponent, can be read from their runs."
    p_value = comparison.holm_p_value
    margin = "within" if comparison.within_margin else "outside"
    said = conclusion(comparison)
    if said is Conclusion.NOT_TOLD_APART:
        opening = "Their exponents are not told apart"
    else:
        opening = f"Its loss falls {said.value} with compute"
    if known(difference) and not is_resolved(difference):
        return "Their exponents are not resolved: the interval of their difference is wider than any exponent."
    tail = f", {'' if alone else 'Holm-corrected '}p {p_text(p_value)}" if p_value is not None else ""
    above, scale, unit = "", factor or 1.0, "bits per byte" if factor else labels.nats
    if comparison.floor_nats:
        above = f" above a common floor of {number(comparison.floor_nats * scale)} {unit}"
    if comparison.own_floors_nats is not None:
        ends = [number(floor * scale) for floor in comparison.own_floors_nats]
        opening = (
            f"Each levels off at a floor of its own, {comparison.baseline} at {ends[0]} and {comparison.contender} at "
            f"{ends[1]} {unit}"
        )
        above = " above them"
    elif comparison.form == Form.JOINT_LAW:
        above = " of the loss above each one's own floor"
    text = f"{opening}: alpha{above} differs by {with_interval(difference, 2)}{tail} ({margin} the 5 % margin)."
    if said is Conclusion.NOT_TOLD_APART and known(difference):
        visible = visible_difference(difference)
        text += f" Differences below {number(visible, 2)} are found here with less than 80 % power."
    return text


def _frontier_words(frontier: FrontierResult, unit: str) -> str:
    """Whether the frontier is tiered, what each size that does not plainly gain is worth, and which are dominated."""
    name, unresolved = frontier.contender, unresolved_gains(frontier)
    dull = [one for one in frontier.gains if one.outcome is GainOutcome.DOES_NOT_GAIN]
    if not frontier.gains:
        text = f"Tiers are not looked for on the frontier of {name}"
    elif frontier.tiered:
        groups = [tier.size_indices for tier in frontier.tiers if len(tier.size_indices) > 1]
        listed = ", ".join(f"{size_number(group[0])}-{size_number(group[-1])}" for group in groups)
        are = "are one tier" if len(groups) == 1 else "are a tier each"
        text = f"The frontier of {name} is tiered: sizes {listed} {are}"
    elif unresolved:
        text = f"Whether the frontier of {name} is tiered is not resolved"
    else:
        text = f"The frontier of {name} is not tiered: every size gains over the smaller ones"
    said = [gain_text(one, unit) + (f": {one.cause}" if one.cause else "") for one in dull]
    said += _unresolved_words(unresolved, unit, seeded=frontier.noise_std_nats is not None)
    if frontier.ladder_note:
        said.append(frontier.ladder_note)
    dominated = [size for size in frontier.sizes if size.dominated]
    if dominated:
        doubt = "" if frontier.noise_std_nats is not None else " in bare figures"
        better = "a smaller size does as well for less"
        said.append(f"{_sizes(dominated)} {'are' if len(dominated) > 1 else 'is'} dominated{doubt}: {better}")
    return "; ".join([text, *said]) + "."


def _unresolved_words(unresolved: Sequence[SizeGain], unit: str, *, seeded: bool) -> list[str]:
    """What is not resolved: up to two sizes by their figures, more of them by number, what they share said once.

    seeded: whether seeds show the noise. Where the scatter about a law stands in for it, it says nothing of seeds.
    """
    bare = [one for one in unresolved if one.interval is None]
    known_noise = [one for one in unresolved if one.interval is not None]
    said = []
    if bare:
        rising = [one for one in bare if one.gain_nats <= 0]
        falls = f"the loss of {_sizes(rising)} does not even fall" if rising else "the loss falls from size to size"
        said.append(f"noise is unknown, and in bare figures {falls}")
    if known_noise and not seeded:
        are = "are" if len(known_noise) > 1 else "is"
        return [*said, f"{_sizes(known_noise)} {are} not resolved: seeds of each size would tell the noise"]
    if len(known_noise) <= _FEW_SIZES:
        return said + [gain_text(one, unit) + (f": {one.cause}" if one.cause else "") for one in known_noise]
    seeds = [one.seeds_to_settle for one in known_noise]
    most = max((count for count in seeds if count is not None), default=None)
    settled = (
        "no number of seeds up to 100 would settle them" if None in seeds else f"up to {most} seeds would settle them"
    )
    return [*said, f"{_sizes(known_noise)} are not resolved: {settled}"]


def _other(results: ScanResults, comparison: Comparison, axis: CostAxis) -> Comparison | None:
    return next(
        (
            one
            for one in results.comparisons
            if one.cost_axis is axis
            and one.status is FitStatus.OK
            and (one.baseline, one.contender) == (comparison.baseline, comparison.contender)
        ),
        None,
    )
