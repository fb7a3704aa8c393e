"""What the specs of specs/protocol came to: a table of every setting that was tried, with what it cost.

Run each spec first (`for spec in specs/protocol/*.yaml; do archbench run $spec; done`), then this. Rows are means over
seeds; the standard deviation between seeds is beside the loss where there are two or more.

Run: `python benchmarks/protocol_table.py [RUNS]`: the folder of the run store, `runs` unless said.
"""

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from archbench.report.plotting import markdown_table
from archbench.report.words import number
from archbench.results.reference_lines import mean_lines, place_words
from archbench.results.runs import RunRecord, size_scan_results
from archbench.runs.store import RunStore

PREFIX = "protocol_"
"""Of the names of scans that search the protocol."""

HEADER = (
    "scan", "contender", "N", "ids", "context", "batch", "tokens", "peak rate", "loss (nats)", "bits per byte",
    "place between n-gram lines", "executed FLOPs", "processor seconds", "seeds",
)  # fmt: skip


def main(folder: Path) -> None:
    """Prints the table of all scans of the store whose names begin with `PREFIX`."""
    store = RunStore(folder)
    names = [name for name in store.scan_names() if name.startswith(PREFIX)]
    print(markdown_table(HEADER, [row for name in sorted(names) for row in rows_of(store, name)], right=(2, 3, 4, 5)))


def rows_of(store: RunStore, scan: str) -> Iterator[list[str]]:
    """A row for each contender, size and budget of a scan that has ended runs."""
    records, _ = store.records(store.scan(scan))
    cells: dict[tuple[str, int, int], list[RunRecord]] = {}
    for run in size_scan_results(records):
        if run.usable:
            cells.setdefault((run.contender, run.size_index, run.planned_tokens), []).append(run)
    for (contender, _, tokens), runs in cells.items():
        yield [scan.removeprefix(PREFIX), contender, *_settings(runs[0], tokens), *_outcome(runs), str(len(runs))]


def _settings(run: RunRecord, tokens: int) -> list[str]:
    identity = run.details["identity"]
    training, dims = identity["training"], identity["dims"]
    return [
        f"{run.non_embedding_params:,}",
        f"{dims['vocab_size']:,}",
        str(dims["seq_len"]),
        f"{training['batch_tokens']:,}",
        f"{tokens / 1e6:.1f}M",
        number(training["peak_learning_rate"], 2),
    ]


def _outcome(runs: Sequence[RunRecord]) -> list[str]:
    losses = [run.final_loss_nats for run in runs if run.final_loss_nats is not None]
    bits = [run.final_bits_per_byte for run in runs if run.final_bits_per_byte is not None]
    seconds = [run.curve[-1].processor_seconds for run in runs if run.curve[-1].processor_seconds is not None]
    loss = statistics.mean(losses)
    spread = f" ± {statistics.stdev(losses):.4f}" if len(losses) > 1 else ""
    return [
        f"{loss:.4f}{spread}",
        f"{statistics.mean(bits):.4f}" if bits else "-",
        place_words(loss, mean_lines([run.reference_lines for run in runs])),
        number(runs[0].curve[-1].exact_flops),
        f"{statistics.mean(seconds):.0f}" if seconds else "-",
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs"))
