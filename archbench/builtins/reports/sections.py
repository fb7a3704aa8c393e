"""The sections of a report, in the order in which a reader asks for them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import fenced, folded, json_text, markdown_heading, markdown_line, markdown_list, markdown_text
from archbench.names import file_stem
from archbench.report.labels import OWN, Labels, epochs_known, labels_of
from archbench.report.plotting import markdown_table, save
from archbench.report.reference_lines import unknown_text
from archbench.report.run_tables import state_text, study_runs
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
from archbench.results.fits import Comparison, FitStatus, SizeGain, SizeLeadership
from archbench.results.published import ENTRIES, published_lines
from archbench.results.reference_lines import end_place, place_words, plateau_share
from archbench.results.runs import CostAxis, RunRecord, origin_text, size_number
from archbench.units import counted, human_count, human_seconds

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
                with_interval(frontier.law_with_floor.intervals.get("E"))
                if frontier.law_with_floor.status is FitStatus.OK
                else "-",
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
                for fit in (one.law, one.law_with_floor)
                if fit.status is not FitStatus.OK
            }
        )
        pairs = [self._pair(pair, labels) for pair in results.comparisons if pair.alpha_difference is not None]
        alt = f"Exponent of L(C) of {_named(contenders)} with 95 % interval, without and with a floor."
        parts = [
            save(figures.exponents(contenders, labels), figures_dir, "exponents", alt, ("laws",)),
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


class RunSection(ReportSection):
    """Every planned run, with the reason where one is left out, and the prefix audit."""

    kind: Literal["runs"] = "runs"
    title: str = "Runs"
    order: int = 500
    summary: ClassVar[str] = "Every run with its state; excluded ones with the reason"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Counts, then a table of the size scan's runs; those of each study are folded away below it."""
        parts = [self._scan(results)] if results.records or not results.study_records else []
        parts += study_runs(results.study_records)
        return "\n\n".join(parts)

    def _scan(self, results: ScanResults) -> str:
        left_out = [run for run in results.records if not run.usable]
        words = f"{counted(len(results.records), 'run')}, {len(results.records) - len(left_out)} of them used."
        if left_out:
            words += f" {len(left_out)} {'enters' if len(left_out) == 1 else 'enter'} no fit: see the last column."
        runs = sorted(results.records, key=lambda run: (run.contender, run.size_index, run.seed))
        lines = any(run.reference_lines for run in runs)
        rows = [self._row(run, _line_cells(run) if lines else []) for run in runs]
        labels = labels_of(results.records)
        if labels.params != OWN.params:
            words += f" N counts parameters {labels.params}."
        header = ["contender", "size", "N", "seed", "tokens", "epochs", labels.flops_column, "time",
                  f"final loss ({labels.nats})", "bits per byte", *(_LINE_HEADERS if lines else ()),
                  "prefix audit gain (nats)", "run", "state"]  # fmt: skip
        table = markdown_table(header, rows, right=(1, 2, 3, 4, 5, 6, 7, 8, 9))
        told = [markdown_line(f"{line}.") for line in published_lines(results.records)]
        return "\n\n".join([words, *told, *_gate_words(results), *_line_words(results), table])

    def _row(self, run: RunRecord, line_cells: Sequence[str]) -> list[str]:
        last = run.curve[-1] if run.curve else None
        audit = run.prefix_audit
        seconds = last.device_seconds if last else None
        loss, bits = run.final_loss_nats, run.final_bits_per_byte
        return [
            run.contender,
            str(size_number(run.size_index)),
            human_count(run.non_embedding_params),
            str(run.seed),
            human_count(run.planned_tokens),
            number(run.planned_tokens / run.unique_tokens, 2) if run.unique_tokens and epochs_known(run) else "-",
            number(last.exact_flops) if last else "-",
            human_seconds(seconds) if seconds is not None else "-",
            number(loss, 4) if loss is not None else "-",
            number(bits, 4) if bits is not None else "-",
            *line_cells,
            f"{audit.mean_gain_nats:.2g} [{audit.low_nats:.2g}, {audit.high_nats:.2g}]" if audit else "-",
            f"`{run.run_id[:12]}`",
            state_text(run),
        ]


class EnvironmentSection(ReportSection):
    """Versions, hashes and hardware, the spec, and the command that makes it all again."""

    kind: Literal["environment"] = "environment"
    title: str = "How to reproduce"
    order: int = 900
    summary: ClassVar[str] = "The one command, how to cite, versions, hashes, hardware and the resolved spec"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """The command, then what it ran with."""
        from archbench.report.provenance import citation, hardware_table

        origins = sorted({record.origin for record in results.records})
        foreign = [origin for origin in origins if origin != "archbench"]
        spec = f"{file_stem(results.name)}.yaml"
        parts = [
            f"Put the spec below into `{spec}` (JSON is YAML), then `archbench run {spec}`. "
            "Runs that exist already are not trained again."
        ]
        published = results.environment.get(ENTRIES) or {}
        if published:
            entries = ", ".join(f"{name}: {one['entry']}, digest {one['digest']}" for name, one in published.items())
            parts.append(markdown_line(f"It needs the leaderboard's entries that it names: {entries}."))
        if foreign:
            parts = [markdown_line(f"These runs were not trained by archbench; they come from: {', '.join(foreign)}.")]
        for title, text in (
            ("How to cite", citation(results)),
            ("Plug-ins", "\n\n".join(self._plugins(results))),
            ("Hardware", hardware_table((*results.records, *results.trials, *results.study_records))),
        ):
            parts += [f"### {title}", text] if text else []
        parts.append("### Spec, versions and hashes")
        for title, content in (("Environment", results.environment), ("Spec", results.spec)):
            if content:
                text = json.dumps(content, indent=2, sort_keys=True, default=str, ensure_ascii=False)
                parts.append(folded(title, fenced(json_text(text), "json")))
        return "\n\n".join(parts)

    def _plugins(self, results: ScanResults) -> list[str]:
        """The code that trained each contender, one row for each state of it; nothing where no run noted it."""
        states: dict[tuple[str, str, str], int] = {}
        for run in results.records:
            for what, origin in run.plugin_origins.items():
                state = (run.contender, what, origin_text(origin))
                states[state] = states.get(state, 0) + 1
        if not states:
            return []
        rows = [[contender, what, text, str(runs)] for (contender, what, text), runs in sorted(states.items())]
        table = markdown_table(
            ["contender", "plug-in of its", "name, version, source (SHA-256)", "runs"], rows, right=(3,)
        )
        kinds = {(contender, what) for contender, what, _ in states}
        mixed = "" if len(kinds) == len(states) else " A plug-in's source changed between runs of one contender."
        return [f"The code that trained them.{mixed}\n\n{table}"]


def _gate_words(results: ScanResults) -> list[str]:
    """What the gate said of an imported table: rows used, rows left out and why, what is suspicious."""
    gates = results.environment.get("gate")
    if not isinstance(gates, dict):
        return []
    lines = [f"{arch}: {line}" for arch, own in gates.items() for line in own]
    return ["Rows of the table:", markdown_list(lines)] if lines else []


_LINE_HEADERS = ("place between the lines", "tokens on the plateau")


def _line_cells(run: RunRecord) -> list[str]:
    """Where a run's last loss stands between its reference lines, and what of its tokens it spent on the plateau."""
    share = plateau_share(run)
    return [end_place(run), "-" if share is None else f"{100.0 * share:.0f} %"]


def _line_words(results: ScanResults) -> list[str]:
    """The reference lines of the runs, and of which contenders none are known."""
    used = [run for run in results.records if run.usable]
    unknown = [
        name for name in _contenders(used) if not any(run.reference_lines for run in used if run.contender == name)
    ]
    words = [f"{unknown_text(unknown)}."] if unknown else []
    if len(unknown) < len(_contenders(used)):
        words.insert(
            0,
            "Places are those of last losses between the losses of n-gram models of the text that each run saw; on the "
            "plateau a loss lies within a tenth of a step about the line of pairs (masked: of both neighbours).",
        )
    return [markdown_line(line) for line in words]


def _contenders(records: Sequence[RunRecord]) -> list[str]:
    return list(dict.fromkeys(run.contender for run in records))


def _named(contenders: Sequence["Contender"]) -> str:
    return ", ".join(one.name for one in contenders)
