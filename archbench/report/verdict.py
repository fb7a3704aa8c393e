"""What the answer of a scan hangs on, and its detail: what stands below the sentence of `archbench.report.answer`."""

import re
from collections.abc import Sequence
from itertools import groupby

from archbench.analysis.comparison.compare import (
    Conclusion,
    conclusion,
    is_resolved,
)
from archbench.analysis.comparison.multiplier import asked_window
from archbench.analysis.comparison.tokens_apart import tokens_apart
from archbench.analysis.frontier.prefix_audits import leaking_contenders
from archbench.analysis.frontier.reading import Form
from archbench.analysis.frontier.tuning import analyse_tuning, tuning_warnings
from archbench.analysis.significance import visible_difference
from archbench.contracts.report import ScanResults
from archbench.report.answer import answers, main_axis
from archbench.report.collapses import collapse_warnings
from archbench.report.labels import Labels, labels_of
from archbench.report.question_words import answer_words, control_lines, marked, rung_words
from archbench.report.words import (
    crossover_text,
    gain_text,
    known,
    number,
    p_text,
    size_ranges,
    unresolved_gains,
    window_text,
    with_interval,
)
from archbench.results.arithmetic import mixed_arithmetic
from archbench.results.bits_per_byte import bits_per_byte_factor
from archbench.results.choices import unequal_choices
from archbench.results.evaluations import unlike_evaluations
from archbench.results.executed_flops import without_executed_flops
from archbench.results.experts import convention_beside_dense
from archbench.results.fits import (
    Comparison,
    FitStatus,
    FrontierResult,
    GainOutcome,
    HeadlineMultiplier,
    SizeGain,
    SizeLeadership,
)
from archbench.results.published import seconds_left_out
from archbench.results.runs import CostAxis, RunRecord, size_number

_SHARE = re.compile(r"(\d+ of \d+) (frontier points .*)")
"""A warning that many contenders share, each with figures of its own."""
_FEW_SIZES = 2
"""Unresolved sizes that are given one by one; the table of sizes has all."""


def details(results: ScanResults) -> list[str]:
    """What the sentence leaves out, a line each: controls, each contender against the baseline, tiers, studies."""
    return [*control_details(results), *pair_details(results), *shared_details(results)]


def control_details(results: ScanResults) -> list[str]:
    """A line on each control of the question, those that failed first."""
    return control_lines(results.controls) if results.records else []


def pair_details(results: ScanResults) -> list[str]:
    """A line on each contender against the baseline, on the verdict's axis."""
    axis = main_axis(results)
    return [
        _against_baseline(results, comparison)
        for comparison in results.comparisons
        if comparison.cost_axis is axis and comparison.baseline == results.baseline
    ]


def shared_details(results: ScanResults) -> list[str]:
    """A line on each group of frontiers of which the same is said, then on what is missing, and on studies."""
    axis = main_axis(results)
    unit = labels_of(results.records).nats
    lines = _frontier_lines([one for one in results.frontiers if one.cost_axis is axis], unit)
    without = sorted({record.contender for record in results.records} - {one.contender for one in results.frontiers})
    if without and results.frontiers:
        lines.append(f"No run of {', '.join(without)} has finished, and so there is no frontier.")
    lines += [line for said in results.study_sentences.values() for line in said]
    if results.study_records or lines:
        absent = [name for name in results.spec.get("studies") or () if name not in results.studies]
        lines += [f"Study {name}: no run has finished that it could speak of." for name in absent]
    return lines


def reservations(results: ScanResults) -> list[str]:
    """What the design of the study cannot see, and other warnings of the verdict's axis; the scan's own come first.

    Contenders with the same warning share a line.
    """
    axis = main_axis(results)
    named: dict[str, list[str]] = {}
    shares: dict[str, list[str]] = {}
    for frontier in results.frontiers:
        if frontier.cost_axis is axis:
            for warning in frontier.warnings:
                share = _SHARE.match(warning)
                if share is None:
                    named.setdefault(warning, []).append(frontier.contender)
                else:
                    shares.setdefault(share[2], []).append(f"{frontier.contender} ({share[1]})")
    uncounted = without_executed_flops(results.records)
    if uncounted and axis is CostAxis.EXACT:
        named["executed FLOPs were not counted, 6ND stands in for them"] = uncounted
    tuning = analyse_tuning((*results.records, *results.trials))
    baseless = results.baseline is None and any(pair.comparable_loss for pair in results.comparisons)
    return [
        *results.warnings,
        *(["`archbench compare A B` gives a multiplier of any two."] if baseless else []),
        *([f"{mixed}."] if (mixed := mixed_arithmetic((*results.records, *results.study_records))) else []),
        *([f"{experts}."] if (experts := convention_beside_dense(results.records)) else []),
        *([f"{unequal}."] if (unequal := unequal_choices(results.records)) else []),
        *([f"{unlike}."] if (unlike := unlike_evaluations(results.records)) else []),
        *(f"{words}." for words in seconds_left_out(results.records)),
        *(f"{warning}." for warning in (tuning_warnings(tuning) if tuning is not None else ())),
        *(f"{', '.join(names)}: {warning}." for warning, names in (*named.items(), *shares.items())),
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
        exponents = _exponent_words(comparison, None, labels_of(results.records))
        return f"{name}: of another track than {baseline}, so that losses do not compare. {exponents}"
    records = [record for record in results.records if record.contender in (name, baseline)]
    labels, factor = labels_of(records), bits_per_byte_factor(records)
    alone = sum(one.cost_axis is comparison.cost_axis for one in results.comparisons) == 1
    exponents = _exponent_words(comparison, factor, labels, alone=alone)
    sentences = [
        *_multiplier_words(comparison, factor, labels),
        exponents,
        *filter(None, [rung_words(comparison)]),
        *_training_words(records, comparison),
        *_answer_words(results, comparison),
        *_time_words(results, comparison, labels),
    ]
    if comparison.crossover_cost is not None:
        sentences.append(f"The two frontiers cross at {crossover_text(comparison, labels.axis_names)}.")
    return marked(f"{name}: {' '.join(sentences)}", results.controls)


def _time_words(results: ScanResults, comparison: Comparison, labels: Labels) -> list[str]:
    """The multiplier on measured time: the processor's where all ran on CPUs, which a busy machine hardly changes."""
    if comparison.cost_axis.measured:
        return []
    for axis in (CostAxis.PROCESSOR_SECONDS, CostAxis.DEVICE_SECONDS):
        timed = _other(results, comparison, axis)
        if timed is not None:
            found = timed.headline
            if found is None or found.status is not FitStatus.OK or found.multiplier is None:
                return []
            return [f"On {labels.cost_words[axis]} the multiplier is {with_interval(found.multiplier)}."]
    return []


def _training_words(records: Sequence[RunRecord], comparison: Comparison) -> list[str]:
    """That two ladders had unlike tokens a parameter, which the factor between them holds too; empty where alike."""
    apart = tokens_apart(records, comparison)
    if apart is None:
        return []
    seen = ", ".join(f"{name} {number(tokens, 2)}" for name, tokens in apart.items())
    return [f"Mind: tokens a parameter are unlike at one cost ({seen}); the factor is that of ladders as trained."]


def _multiplier_words(comparison: Comparison, factor: float | None, labels: Labels) -> list[str]:
    """Why no multiplier may be read, and what it would be; of one that may, how it goes over its window."""
    found = comparison.headline
    cost = labels.cost_words[comparison.cost_axis]
    if found is None or found.multiplier is None:
        why = found.reason if found is not None else "there is none"
        return [f"no multiplier on {cost} ({why})."]
    if found.status is FitStatus.OK:
        return _trend_words(comparison, found, factor)
    would = f"it would be {number(found.multiplier.value)} over losses of {window_text(found, factor)}"
    return [f"no multiplier on {cost} to rely on (`{found.status.value}`: {found.reason}; {would})."]


def _answer_words(results: ScanResults, comparison: Comparison) -> list[str]:
    """The answer to the spec's question, with the bounds that it rests on; empty where the spec asks none."""
    pair = answers(results).get(comparison.contender)
    if pair is None or pair.answer is None:
        return []
    cost_name = labels_of(results.records).axis_names[pair.cost_axis]
    return [answer_words(pair.answer, cost_name, asked_window(results.spec))]


def _trend_words(comparison: Comparison, found: HeadlineMultiplier, factor: float | None) -> list[str]:
    """How the figure changes over the window, where it is told apart from constant, and exponents from each other."""
    if found.trend is None or found.trend.covers(1.0) or len(found.at) < 2:
        return []
    if conclusion(comparison) is Conclusion.NOT_TOLD_APART:
        return []
    ends = [
        f"{number(point.multiplier.value)} at {number(point.loss_nats * (factor or 1.0), 4)}" for point in found.at[:2]
    ]
    return [
        f"The multiplier {'grows' if found.trend.value > 1.0 else 'falls'} over its window, from {' to '.join(ends)}."
    ]


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


def _frontier_lines(frontiers: Sequence[FrontierResult], unit: str) -> list[str]:
    """What is said of the sizes of each frontier; contenders of which the same is said share a line."""
    named: dict[str, list[str]] = {}
    for frontier in frontiers:
        named.setdefault(_sizes_words(frontier, unit), []).append(frontier.contender)
    return [f"{', '.join(names)}: {words}." for words, names in named.items()]


def _sizes_words(frontier: FrontierResult, unit: str) -> str:
    """Whether the sizes form tiers, what each that does not plainly gain is worth, and which are dominated."""
    unresolved = unresolved_gains(frontier)
    dull = [one for one in frontier.gains if one.outcome is GainOutcome.DOES_NOT_GAIN]
    if not frontier.gains:
        text = "tiers are not looked for"
    elif frontier.tiered:
        groups = [tier.size_indices for tier in frontier.tiers if len(tier.size_indices) > 1]
        listed = ", ".join(f"{size_number(group[0])}-{size_number(group[-1])}" for group in groups)
        are = "are one tier" if len(groups) == 1 else "are a tier each"
        text = f"tiered, sizes {listed} {are}"
    elif unresolved:
        text = "whether sizes form tiers is not resolved"
    else:
        text = "not tiered, every size gains over the smaller ones"
    said = _dull_words(dull, unit)
    said += _unresolved_words(unresolved, unit, seeded=frontier.noise_std_nats is not None)
    if frontier.ladder_note:
        said.append(frontier.ladder_note)
    dominated = [size for size in frontier.sizes if size.dominated]
    if dominated:
        doubt = "" if frontier.noise_std_nats is not None else " in bare figures"
        better = "a smaller size does as well for less"
        said.append(f"{_sizes(dominated)} {'are' if len(dominated) > 1 else 'is'} dominated{doubt}: {better}")
    return "; ".join([text, *said])


def _dull_words(dull: Sequence[SizeGain], unit: str) -> list[str]:
    """What does not gain: up to two sizes by their figures, more of them by number and cause."""
    if len(dull) <= _FEW_SIZES:
        return [gain_text(one, unit) + (f": {one.cause}" if one.cause else "") for one in dull]
    causes = groupby(sorted(dull, key=lambda one: one.cause), key=lambda one: one.cause)
    return [
        f"{_sizes(list(ones))} do not gain over smaller ones" + (f": {cause}" if cause else "")
        for cause, ones in ((cause, list(ones)) for cause, ones in causes)
    ]


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


def _sizes(sizes: Sequence[SizeGain | SizeLeadership]) -> str:
    """`size 4`, `sizes 2-5, 9`, or how many they are where that would be a long list."""
    return size_ranges([size_number(size.size_index) for size in sizes])


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
