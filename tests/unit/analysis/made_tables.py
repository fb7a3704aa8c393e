"""Tables of made-up runs for tests of the gate, and what was said of them."""

import numpy as np
import pandas as pd

from archbench.analysis.laws.chinchilla import Chinchilla
from archbench.analysis.tables.quantities import Treatment
from archbench.analysis.tables.read import PLAIN, run_tables
from archbench.analysis.tables.run_table import Columns, RunTable

TRUTH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}
COLUMNS = Columns(loss="loss", params="N", tokens="D")


def grid(noise: float = 0.0) -> pd.DataFrame:
    """30 finished runs: five sizes, six lengths."""
    N = np.repeat(np.geomspace(4e7, 1.2e9, 5).round(), 6)
    D = np.tile([10.0, 20, 40, 80, 160, 320], 5) * N / 4
    loss = Chinchilla().predict(TRUTH, N=N, D=D) * np.exp(np.random.default_rng(3).normal(0, noise, 30))
    return pd.DataFrame({"arch": "gpt", "N": N, "D": D, "C": 6 * N * D, "loss": loss})


def curves() -> pd.DataFrame:
    """Six runs of ten points each."""
    rows = []
    for number, size in enumerate(np.geomspace(1e7, 3e8, 6).round()):
        steps = np.arange(100, 1100, 100)
        loss = Chinchilla().predict(TRUTH, N=np.full(10, size), D=steps * 5e5)
        rows.append(pd.DataFrame({"run": f"m{number}", "N": size, "step": steps, "D": steps * 5e5, "loss": loss}))
    return pd.concat(rows, ignore_index=True)


def table(frame: pd.DataFrame, columns: Columns = COLUMNS, treatment: Treatment = PLAIN) -> RunTable:
    (found,) = run_tables(frame, columns, source="runs.csv", treatment=treatment)
    return found


def reasons(found: RunTable) -> dict[str, tuple[int, ...]]:
    return {one.kind: one.rows for one in found.gate.left_out}


def suspicions(found: RunTable) -> dict[str, tuple[int, ...]]:
    return {one.kind: one.rows for one in found.gate.suspicions}


def swept() -> pd.DataFrame:
    frame = grid(0.002)
    runs = [
        frame.assign(lr=rate, loss=frame["loss"] * worse) for rate, worse in ((1e-3, 1.0), (3e-3, 1.02), (1e-2, 1.06))
    ]
    return pd.concat(runs, ignore_index=True)
