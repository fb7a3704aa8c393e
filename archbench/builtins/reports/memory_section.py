"""Where sparse and dense models stand in one scan: what their weights take, and who is ahead at equal memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import markdown_line, markdown_list
from archbench.report.columns import data_table
from archbench.report.labels import labels_of
from archbench.report.plotting import markdown_table
from archbench.report.words import multiplier_text, number, p_text, window_text
from archbench.results.experts import WEIGHT_BYTES, convention_beside_dense, mixtures
from archbench.results.fits import FitStatus
from archbench.results.runs import size_number
from archbench.units import human_bytes, human_count

if TYPE_CHECKING:
    from archbench.analysis.frontier.memory import ModelInMemory

# The analysis is imported where it is asked for: registering sections must stay cheap.


class MemorySection(ReportSection):
    """The frontier over bytes of weights, and multipliers at equal memory; nothing where every model is dense."""

    kind: Literal["memory"] = "memory"
    title: str = "At equal memory"
    order: int = 305
    summary: ClassVar[str] = "Loss against bytes of weights, where mixtures of experts stand beside dense models"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """A table of models, then one of multipliers; None where no contender is a mixture of experts."""
        from archbench.analysis.comparison.multiplier import asked_window
        from archbench.analysis.frontier.memory import compare_by_memory

        models = _models(results)
        if not models:
            return None
        nats = labels_of(results.records).nats
        header = ["contender", "size", "N", "N of a token", "weights", f"loss ({nats})", "lowest at its memory"]
        rows = [
            [
                one.contender,
                str(size_number(one.size_index)),
                human_count(one.non_embedding_params),
                human_count(one.active_params),
                human_bytes(one.weight_bytes),
                number(one.loss_nats, 4),
                "yes" if one.lowest else "no",
            ]
            for one in models
        ]
        parts = [
            markdown_line(f"{convention_beside_dense(results.records)}."),
            f"Weights are all parameters, embeddings and idle experts among them, at {WEIGHT_BYTES} bytes each. Every "
            "size is its finished runs of the largest budget.",
            markdown_table(header, rows, right=(1, 2, 3, 4, 5)),
        ]
        pairs = compare_by_memory(results.records, baseline=results.baseline, window=asked_window(results.spec))
        compared = [pair for pair in pairs if pair.comparable_loss and pair.headline is not None]
        if compared:
            header = ["contender", "over", "multiplier of memory, 95 %", "p (Holm)", f"over losses of ({nats})"]
            cells = [
                [
                    pair.contender,
                    pair.baseline,
                    multiplier_text(pair.headline),
                    p_text(pair.headline.holm_p_value if pair.headline is not None else None),
                    window_text(pair.headline, unit=False) if pair.headline is not None else "-",
                ]
                for pair in compared
            ]
            parts.append(markdown_table(header, cells, right=(2, 3)))
            parts.append(
                markdown_list(
                    [
                        f"{pair.contender}: `{pair.headline.status.value}`: {pair.headline.reason}"
                        for pair in compared
                        if pair.headline is not None and pair.headline.status is not FitStatus.OK
                    ]
                )
            )
            parts.append("Above 1, the contender reaches the same loss with fewer bytes of weights.")
        return "\n\n".join(part for part in parts if part)

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """The models of the first table."""
        models = _models(results)
        table = data_table(
            "memory",
            "One contender's model of one size at its largest budget, with the bytes of its weights.",
            ("contender", "size_index", "non_embedding_params", "active_params", "weight_bytes", "loss_nats",
             "lowest_at_its_memory"),
            [
                (
                    one.contender, one.size_index, one.non_embedding_params, one.active_params, one.weight_bytes,
                    one.loss_nats, one.lowest,
                )
                for one in models
            ],
        )  # fmt: skip
        return [table] if models else []


def _models(results: ScanResults) -> "tuple[ModelInMemory, ...]":
    from archbench.analysis.frontier.memory import models_in_memory

    return models_in_memory(results.records) if mixtures(results.records) else ()
