"""The sections of a report that stand on its curves, in the order in which a reader asks for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import markdown_heading, markdown_list, markdown_text
from archbench.names import file_stem
from archbench.report.labels import Labels, labels_of
from archbench.report.plotting import markdown_table, save
from archbench.report.words import (
    alpha_text,
    crossover_text,
    multiplier_text,
    number,
    p_text,
    tiers_text,
    window_text,
    with_interval,
)
from archbench.results.fits import Comparison, FitResult, FitStatus, Interval, SizeGain, SizeLeadership
from archbench.results.reference_lines import place_words
from archbench.results.runs import CostAxis, size_number
from archbench.units import human_count

if TYPE_CHECKING:
    from archbench.analysis.comparison.compare import Contender
    from archbench.analysis.frontier.curves import MeanCurve

# Figures and laws are imported where they are drawn: registering sections must stay cheap.


class FrontierSection(ReportSection):
    """The overview figure of each track, then each contender's frontier with its sizes."""

    kind: Literal["frontiers"] = "frontiers"
    title: str = "Compute-efficient frontiers"
    order: int = 100
    summary: ClassVar[str] = "Loss against compute, envelope, law and band, tiers and dominated sizes"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Figures and a table of sizes for each contender."""
        from archbench.report import figures
        from archbench.report.contenders import by_track, contenders_of, drawn_of, few_drawn

        contenders = contenders_of(results)
        if not contenders:
            return None
        parts, labels = [], labels_of(results.records)
        with_figure: set[str] = set()
        for track, all_members in by_track(contenders).items():
            names = drawn_of(results, [one.name for one in all_members])
            members = [one for one in all_members if one.name in names]
            with_figure |= set(names)
            alt = f"Loss against compute of {_named(members)}: lower envelopes, laws with their 95 % bands."
            name = f"overview_{file_stem(track)}"
            parts.append(
                save(figures.overview(members, labels), figures_dir, name, alt, ("envelopes", "curves", "laws"))
            )
            parts += few_drawn(len(members), len(all_members))
        for index, one in enumerate(contenders):
            drawn = "the learning curve of every size" if one.curves.has_curves else "every finished run"
            alt = (
                f"Loss against compute of {one.name}: {drawn}, their lower envelope, the law with its 95 % band; tiers "
                "shaded, dominated sizes dashed and crossed."
            )
            name, tables = f"frontier_{file_stem(one.name)}", ("curves", "frontiers", "envelopes", "laws", "sizes")
            parts.append(markdown_heading(3, one.name))
            if one.name in with_figure:
                parts.append(save(figures.frontier(one, index, labels), figures_dir, name, alt, tables))
            parts.append(self._sizes(one, labels))
            parts += [markdown_list([warning]) for warning in one.result.warnings]
        return "\n\n".join(parts)

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """The envelope and law that are drawn."""
        from archbench.report.envelopes import envelopes_table

        return [envelopes_table(results)]

    def _sizes(self, one: "Contender", labels: Labels) -> str:
        finals = {curve.size_index: curve for curve in one.curves.curves}
        gains = {gain.size_index: gain for gain in one.result.gains}
        rows = []
        for size in one.result.sizes:
            lead = "never"
            if size.lead_from_cost is not None and size.lead_to_cost is not None:
                lead = f"{number(size.lead_from_cost)} to {number(size.lead_to_cost)}"
            curve = finals[size.size_index]
            rows.append(
                [
                    str(size_number(size.size_index)),
                    human_count(size.non_embedding_params),
                    str(curve.num_runs),
                    number(curve.final_loss_nats, 4),
                    lead,
                    *_gain_cells(gains.get(size.size_index)),
                    size.reason or "no",
                ]
            )
        leads = f"leads ({labels.axis_names[one.result.cost_axis]})"
        header = ["size", "N", "seeds", f"final loss ({labels.nats})", leads, f"gain ({labels.nats})",
                  "law expects", "gains?", "p of gain (Holm)", "p of none (Holm)", "dominated"]  # fmt: skip
        known_lines = any(curve.reference_lines for curve in finals.values())
        if known_lines:
            header.append("place between the lines")
            for row, size in zip(rows, one.result.sizes, strict=True):
                row.append(_size_place(size, finals[size.size_index]))
        noise = one.result.noise_std_nats
        known = f"{number(noise, 2)} {labels.nats}" if noise is not None else "unknown (one seed at each size)"
        words = [f"Run-to-run noise {known}; tiers: {tiers_text(one.result)}", *filter(None, [one.result.ladder_note])]
        return markdown_table(header, rows, right=(0, 1, 2, 3, 5, 6, 8, 9)) + f"\n\n{'; '.join(words)}."


def _size_place(size: SizeLeadership, end: "MeanCurve") -> str:
    """The place of a size's mean last loss, marked where it is on the plateau."""
    words = place_words(end.final_loss_nats, end.reference_lines)
    return words if size.status is FitStatus.OK else f"`{size.status.value}`: {words}"


def _gain_cells(one: SizeGain | None) -> list[str]:
    """The gain over the best smaller size, what the law expects, the outcome, and the p-values of either test."""
    if one is None:
        return [""] * 5
    seen = number(one.gain_nats, 2) if one.interval is None else with_interval(one.interval, 2)
    outcome = one.outcome.value.replace("_", " ")
    p_values = (p_text(p) if p is not None else "" for p in (one.p_gains, one.p_does_not_gain))
    expected = number(one.expected_nats, 2) if one.expected_nats is not None else ""
    return [seen, expected, f"{outcome} over {size_number(one.rival_index)}", *p_values]


class ExponentSection(ReportSection):
    """Exponents of all contenders on all cost axes, and the test of each pair."""

    kind: Literal["exponents"] = "exponents"
    title: str = "Exponents side by side"
    order: int = 200
    summary: ClassVar[str] = "alpha of L(C) without and with floor, on each cost axis, with the 5 % margin"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure, a table of exponents and a table of pairs."""
        from archbench.report import figures
        from archbench.report.contenders import contenders_of

        contenders, labels = contenders_of(results), labels_of(results.records)
        if not contenders:
            return None
        rows = [
            [
                frontier.contender,
                labels.axis_names[frontier.cost_axis],
                alpha_text(frontier.law),
                alpha_text(frontier.law_with_floor),
                with_interval(_floor(frontier.law_with_floor)),
                str(frontier.law.points_used),
                number(frontier.law.residual_std, 2),
            ]
            for frontier in results.frontiers
        ]
        header = ["contender", "cost axis", "alpha, no floor", "alpha, floor free", f"floor E ({labels.nats})",
                  "points", "residual std of ln L"]  # fmt: skip
        reasons = sorted(
            {
                f"{one.contender}, {labels.axis_names[one.cost_axis]}, {fit.law}: `{fit.status.value}`: {fit.reason}"
                for one in results.frontiers
                for fit in one.laws_of_finished_runs
                if fit.status is not FitStatus.OK
            }
        )
        pairs = [self._pair(pair, labels) for pair in results.comparisons if pair.alpha_difference is not None]
        alt = f"Exponent of L(C) of {_named(contenders)} with 95 % interval, without and with a floor."
        figure = figures.exponents(contenders, labels)
        parts = [
            "" if figure is None else save(figure, figures_dir, "exponents", alt, ("laws",)),
            markdown_table(header, rows, right=(2, 3, 4, 5, 6)),
            markdown_list(reasons),
        ]
        if pairs:
            parts.append(
                markdown_table(
                    ["pair", "cost axis", "difference of alpha", "p", "p (Holm)", "within 5 %"], pairs, right=(2, 3, 4)
                )
            )
        parts.append("Intervals are 95 %, from resamples of runs. Exponents are fitted by least squares on ln L.")
        return "\n\n".join(part for part in parts if part)

    def _pair(self, pair: Comparison, labels: Labels) -> list[str]:
        return [
            f"{pair.contender} - {pair.baseline}",
            labels.axis_names[pair.cost_axis],
            with_interval(pair.alpha_difference, 2),
            p_text(pair.p_value),
            p_text(pair.holm_p_value),
            "yes" if pair.within_margin else "no",
        ]


class MultiplierSection(ReportSection):
    """Compute and wall-clock multipliers over the baseline, and crossovers."""

    kind: Literal["multipliers"] = "multipliers"
    title: str = "Multipliers over the baseline"
    order: int = 300
    summary: ClassVar[str] = "How much compute or time a contender saves at equal loss, with 90 and 95 % intervals"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A figure for each cost axis and a table; None without a baseline."""
        from archbench.report import figures
        from archbench.report.contenders import drawn_of, few_drawn

        against = [pair for pair in results.comparisons if pair.baseline == results.baseline and pair.comparable_loss]
        if not against:
            return None
        names = list(dict.fromkeys(frontier.contender for frontier in results.frontiers))
        compared = list(dict.fromkeys(pair.contender for pair in against))
        drawn = drawn_of(results, compared)
        parts, labels = [], labels_of(results.records)
        for axis in CostAxis:
            shown = [pair for pair in against if pair.cost_axis is axis and pair.contender in drawn]
            figure = figures.multipliers(shown, names, labels)
            if figure is not None:
                alt = (
                    f"Multiplier on {labels.axis_names[axis]} of each contender over {results.baseline} against loss, "
                    "with intervals; above 1, it needs less."
                )
                parts.append(save(figure, figures_dir, f"multiplier_{axis.value}", alt, ("multipliers",)))
        parts += few_drawn(len(drawn), len(compared))
        rows = [self._row(pair, labels) for pair in against]
        header = ["contender", "cost axis", "multiplier, 95 %", "p (Holm)", f"over losses of ({labels.nats})",
                  "at both ends, and at the lowest common loss", "grows with scale by", "read from",
                  "crossover"]  # fmt: skip
        parts.append(markdown_table(header, rows, right=(2, 3, 4)))
        reasons = dict.fromkeys(
            f"{pair.contender}, {labels.axis_names[pair.cost_axis]}: `{pair.headline.status.value}`: "
            f"{pair.headline.reason}"
            for pair in against
            if pair.headline is not None and pair.headline.status is not FitStatus.OK
        )
        if reasons:
            parts.append(markdown_list(reasons))
        parts.append(
            f"A multiplier is the cost of {markdown_text(str(results.baseline))} divided by the contender's at the "
            "same loss: above 1, the contender needs less."
        )
        return "\n\n".join(parts)

    def _row(self, pair: Comparison, labels: Labels) -> list[str]:
        found = pair.headline
        if found is None:
            return [
                pair.contender,
                labels.axis_names[pair.cost_axis],
                *["-"] * 6,
                crossover_text(pair, labels.axis_names),
            ]
        return [
            pair.contender,
            labels.axis_names[pair.cost_axis],
            multiplier_text(found),
            p_text(found.holm_p_value),
            window_text(found, unit=False),
            ", ".join(number(point.multiplier.value) for point in found.at) or "-",
            with_interval(found.trend),
            found.form,
            crossover_text(pair, labels.axis_names),
        ]


class LearningCurveSection(ReportSection):
    """Loss against tokens for every size."""

    kind: Literal["learning_curves"] = "learning_curves"
    title: str = "Learning curves"
    order: int = 400
    summary: ClassVar[str] = "Loss against tokens seen for every size"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """One figure for each track; None where runs are known by their ends alone."""
        from archbench.report import figures
        from archbench.report.contenders import by_track, contenders_of, drawn_of, few_drawn

        with_curves = [one for one in contenders_of(results) if one.curves.has_curves]
        if not with_curves:
            return None
        parts = []
        for track, all_members in by_track(with_curves).items():
            names = drawn_of(results, [one.name for one in all_members])
            members = [one for one in all_members if one.name in names]
            alt = f"Validation loss against tokens seen for every size of {_named(members)}."
            name = f"learning_curves_{file_stem(track)}"
            parts.append(
                save(figures.learning_curves(members, labels_of(results.records)), figures_dir, name, alt, ("curves",))
            )
            parts += few_drawn(len(members), len(all_members))
        return "\n\n".join(parts)


def _floor(fit: FitResult | None) -> Interval | None:
    """E of a law that may be read."""
    return fit.intervals.get("E") if fit is not None and fit.status is FitStatus.OK else None


def _named(contenders: Sequence["Contender"]) -> str:
    return ", ".join(one.name for one in contenders)
