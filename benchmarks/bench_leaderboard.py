"""Times the rendering of a large leaderboard: nothing kept, all kept, and an entry more than was kept,
in a group of its own and in one that is there.

Entries are made up (`archbench.testing.synthetic`): five sizes, nine runs of 24 points each, in groups of at most a
hundred that compare with each other. Processor time of one thread is printed, which a busy machine changes least, and
the size of the largest page.

Run: `OMP_NUM_THREADS=1 python benchmarks/bench_leaderboard.py [entries] [entries of a group]`.
"""

import datetime
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from archbench.analysis.frontier.scan import StudyOptions, analyse_scan
from archbench.contracts.architecture import ModelDims
from archbench.contracts.report import ScanResults
from archbench.leaderboard import page
from archbench.leaderboard.build import make_entries
from archbench.leaderboard.entry_files import add_entry
from archbench.leaderboard.page_cache import PageCache
from archbench.numerics import NUMERICS
from archbench.results.runs import RunRecord
from archbench.spec.identity import DataIdentity, EvaluationSettings, RunIdentity, TrainingSettings
from archbench.testing.synthetic import SyntheticLaw, synthetic_records

GOAL_SECONDS = 5.0
GOAL_BYTES = 1_000_000


def identified(record: RunRecord, corpus: str) -> RunRecord:
    """The record as if trained: its run id is the hash of an identity."""
    identity = RunIdentity(
        architecture={"kind": record.contender, "size": record.non_embedding_params},
        dims=ModelDims(vocab_size=264, seq_len=128, d_model=32, n_layers=1, n_heads=2, d_ff=128),
        objective={"kind": "causal_lm"},
        data=DataIdentity(corpus_hash=corpus, order="stream"),
        training=TrainingSettings(batch_tokens=4096, total_steps=976, peak_learning_rate=3e-3),
        evaluation=EvaluationSettings(),
        seed=record.seed,
        numerics=NUMERICS,
    )
    return replace(record, run_id=identity.run_id, details={"identity": identity.model_dump(mode="json")})


def add(board: Path, number: int, group: int) -> None:
    """Adds entry `number`: one architecture, in the group of the corpus `group`."""
    name, corpus = f"architecture {number}", f"{group:064x}"
    law = SyntheticLaw(A=12.0 + 0.02 * (number % 100), noise_std=0.003)
    records = [identified(record, corpus) for record in synthetic_records(name, law, seed=number)]
    frontiers, _ = analyse_scan(records, baseline=None, options=StudyOptions(num_resamples=2))
    spec = {"data": {"dataset": {"kind": "installed_docs"}}, "scan": {"sizes": [1e4, 2e4, 4e4, 8e4, 1.6e5]}}
    results = ScanResults(f"scan {number}", "Made up", None, tuple(records), frontiers, (), spec, {})
    for entry in make_entries(results):
        add_entry(board, entry, datetime.date(2026, 1, 1))


def timed(what: str, act: Callable[[], object]) -> None:
    """Prints how long `act` takes."""
    started, wall = time.process_time(), time.perf_counter()
    act()
    seconds = time.process_time() - started
    print(f"{what}: {seconds:6.2f} s of processor time, {time.perf_counter() - wall:6.2f} s", flush=True)


def main(entries: int, in_group: int) -> None:
    """Prints one line for each way to render, and one for the sizes."""
    with tempfile.TemporaryDirectory() as folder:
        board, cache = Path(folder) / "leaderboard", PageCache(Path(folder) / "cache")
        for number in range(entries):
            add(board, number, number // in_group)
        print(f"{entries} entries in groups of {in_group}; goal: {GOAL_SECONDS:g} s, pages below 1 MB", flush=True)
        timed("nothing kept    ", lambda: page.write(board, cache))
        timed("all kept        ", lambda: page.write(board, cache))
        add(board, entries, entries)
        timed("a group more    ", lambda: page.write(board, cache))
        add(board, entries + 1, 0)
        timed("a group grew    ", lambda: page.write(board, cache))
        pages = sorted((path.stat().st_size, path.name) for path in board.rglob("*.html"))
        size, name = pages[-1]
        print(f"largest of {len(pages)} pages: {name}, {size / 1e6:.2f} MB ({size / GOAL_BYTES:.2f} of the goal)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, int(sys.argv[2]) if len(sys.argv) > 2 else 100)
