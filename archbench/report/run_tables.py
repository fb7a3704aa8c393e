"""Tables of the runs of studies."""

from collections.abc import Sequence

from archbench.display import Markdown, folded, markdown_line
from archbench.report.plotting import markdown_table
from archbench.report.tables import labels_text
from archbench.report.words import number
from archbench.results.published import publication_of
from archbench.results.runs import RunRecord, size_number
from archbench.units import counted, human_count

_HEADER = ("contender", "role", "told apart by", "size", "N", "seed", "unique tokens", "tokens", "batch (tokens)",
           "steps", "best loss (nats)", "final loss (nats)", "run", "state")  # fmt: skip
"""Losses are those of the curve, on one text."""
_EVALUATION = "final evaluation (nats)"
"""On all held-out text, or what of it was asked for."""


def study_runs(records: Sequence[RunRecord]) -> list[str]:
    """The runs of each study, folded away under a line that counts them."""
    studies: dict[str, list[RunRecord]] = {}
    for record in records:
        studies.setdefault(record.study, []).append(record)
    return [_folded(name, runs) for name, runs in studies.items()]


def state_text(run: RunRecord) -> str:
    """The state of a run, why it is left out if it is, and the entry that it was published in if it was."""
    publication = publication_of(run)
    source = f"; published: {markdown_line(publication.words)}" if publication else ""
    if run.usable:
        return Markdown(f"{run.state.value}{source}")
    reason = f", {markdown_line(run.reason)}" if run.reason else ""
    return Markdown(f"**left out**: {run.state.value}{reason}{source}")


def _folded(name: str, runs: Sequence[RunRecord]) -> str:
    ranked = sorted(runs, key=_place)
    header, rows = [*_HEADER], [_row(run) for run in ranked]
    if any(run.final is not None for run in runs):
        place = header.index("run")
        header.insert(place, _EVALUATION)
        for row, run in zip(rows, ranked, strict=True):
            row.insert(place, number(run.final.loss_nats, 4) if run.final is not None else "-")
    table = markdown_table(header, rows, right=tuple(range(3, header.index("run"))))
    words = f"Study {name}: {counted(len(runs), 'run')}, {sum(run.usable for run in runs)} of them done"
    return folded(words, table)


def _place(run: RunRecord) -> tuple[object, ...]:
    """Runs of one role together, from little data to much at each size."""
    return run.contender, run.role, labels_text(run), run.size_index, run.unique_tokens, run.batch_tokens, run.seed


def _row(run: RunRecord) -> list[str]:
    last = run.curve[-1] if run.curve else None
    return [
        run.contender,
        run.role,
        labels_text(run) or "-",
        str(size_number(run.size_index)),
        human_count(run.non_embedding_params),
        str(run.seed),
        human_count(run.unique_tokens),
        # What was planned, where the run stopped early, is in data/.
        human_count(last.tokens if last else run.planned_tokens),
        str(run.batch_tokens),
        str(last.step) if last else "-",
        number(run.best_point.validation_loss_nats, 4) if last else "-",
        number(last.validation_loss_nats, 4) if last else "-",
        f"`{run.run_id[:12]}`",
        state_text(run),
    ]
