"""The last sections of a report: what was run, and how to run it again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

from archbench.contracts.report import ReportSection, ScanResults
from archbench.display import fenced, folded, json_text, markdown_line, markdown_list
from archbench.names import file_stem
from archbench.report.labels import OWN, epochs_known, labels_of
from archbench.report.plotting import markdown_table
from archbench.report.reference_lines import unknown_text
from archbench.report.run_tables import state_text, study_runs
from archbench.report.words import number
from archbench.results.published import ENTRIES, published_lines
from archbench.results.reference_lines import end_place, plateau_share
from archbench.results.runs import RunRecord, origin_text, size_number
from archbench.units import counted, human_count, human_seconds


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
