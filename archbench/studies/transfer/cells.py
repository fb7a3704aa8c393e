"""The runs of a transfer study in cells: one contender, role, text, size and number of unique tokens, seeds averaged.

Which role a run plays and what its texts are called comes from its record: `role`, `labels` and `unique_tokens`.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from archbench.analysis.fitting.power_sum import Array
from archbench.results.runs import RunRecord
from archbench.studies.points import result_point
from archbench.studies.transfer.results import FINETUNE, PRETRAINING, SCRATCH, SOURCE, TARGET

_ENOUGH_FREEDOM = 3
"""Degrees of freedom from which a role's own seeds give its noise."""
_WINDOW = 4
_CORRELATIONS = (-0.75, 0.3, -0.05)
"""Of third differences one, two and three windows apart."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Runs that differ in their seed alone."""

    role: str
    contender: str
    source: str
    """Empty for runs from scratch."""
    target: str
    size_index: int
    non_embedding_params: int
    tokens: int
    """Unique tokens of the target."""
    runs: tuple[RunRecord, ...]

    @property
    def log_losses(self) -> Array:
        """ln of each run's result: its loss at the end, or at its best point where it stops early."""
        return np.log([result_point(run).loss_nats for run in self.runs])

    @property
    def log_loss(self) -> float:
        """Their mean."""
        return float(self.log_losses.mean())


@dataclass(frozen=True, slots=True)
class TransferRuns:
    """The usable runs of a study."""

    scratch: tuple[Cell, ...]
    finetune: tuple[Cell, ...]
    pretraining: Mapping[str, RunRecord]
    """By run id."""
    warnings: tuple[str, ...]

    def scratch_of(self, contender: str, target: str) -> dict[int, tuple[Cell, ...]]:
        """Cells from scratch by size, each in rising order of tokens."""
        found = defaultdict(list)
        for cell in self.scratch:
            if (cell.contender, cell.target) == (contender, target):
                found[cell.size_index].append(cell)
        return {size: tuple(cells) for size, cells in sorted(found.items())}

    def directions(self) -> tuple[tuple[str, str, str], ...]:
        """(contender, source, target) of all fine-tuned cells, in the order of the records."""
        return tuple(dict.fromkeys((cell.contender, cell.source, cell.target) for cell in self.finetune))

    def finetune_of(self, contender: str, source: str, target: str) -> tuple[Cell, ...]:
        """Fine-tuned cells of one direction, by size, then tokens."""
        key = (contender, source, target)
        cells = [cell for cell in self.finetune if (cell.contender, cell.source, cell.target) == key]
        return tuple(sorted(cells, key=lambda cell: (cell.size_index, cell.tokens)))

    def pretraining_of(self, run: RunRecord) -> RunRecord | None:
        """The run that `run` began from; None where it began from a model that was trained elsewhere."""
        return self.pretraining.get(start_of(run) or "")


def start_of(run: RunRecord) -> str | None:
    """Id of the run that `run` began from."""
    start = (run.details.get("identity") or {}).get("start") or {}
    found = start.get("run_id") or run.labels.get(PRETRAINING)
    return None if found is None else str(found)


def transfer_runs(records: Iterable[RunRecord]) -> TransferRuns:
    """`records` in cells; runs that did not end well, and runs of other roles, enter none."""
    groups: dict[tuple[str, str, str, str, int, int], list[RunRecord]] = defaultdict(list)
    pretraining: dict[str, RunRecord] = {}
    warnings = []
    for run in records:
        if run.role not in (PRETRAINING, SCRATCH, FINETUNE):
            continue
        if not run.usable:
            why = f": {run.reason}" if run.reason else ""
            warnings.append(f"{run.contender}, {run.role} {run.run_id[:12]} is left out: {run.state.value}{why}")
        elif run.role == PRETRAINING:
            pretraining[run.run_id] = run
        elif TARGET not in run.labels or (run.role == FINETUNE and SOURCE not in run.labels):
            warnings.append(f"{run.contender}, {run.role} {run.run_id[:12]} is left out: its texts are not named")
        else:
            source = run.labels[SOURCE] if run.role == FINETUNE else ""
            key = (run.role, run.contender, source, run.labels[TARGET], run.size_index, run.unique_tokens)
            groups[key].append(run)
    cells = [
        Cell(role, contender, source, target, size, runs[0].non_embedding_params, tokens, _best_of_each_seed(runs))
        for (role, contender, source, target, size, tokens), runs in groups.items()
    ]
    return TransferRuns(
        tuple(
            sorted((cell for cell in cells if cell.role == SCRATCH), key=lambda cell: (cell.size_index, cell.tokens))
        ),
        tuple(cell for cell in cells if cell.role == FINETUNE),
        pretraining,
        tuple(warnings),
    )


def _best_of_each_seed(runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """Of runs that differ in their rate too, the one of the lowest loss, as both sides of the study choose it."""
    best: dict[int, RunRecord] = {}
    for run in runs:
        rival = best.get(run.seed)
        if rival is None or result_point(run).loss_nats < result_point(rival).loss_nats:
            best[run.seed] = run
    return tuple(best.values())


@dataclass(frozen=True, slots=True)
class RunNoise:
    """Standard deviation of ln L of one run about the mean of its cell."""

    std_log: float
    degrees_of_freedom: int
    source: str
    """Where it comes from, in words."""


def run_noise(cells: Sequence[Cell], role: str) -> RunNoise | None:
    """The noise of `role`: of its own seeds if they are enough, else of all seeds, else what bends a smooth curve.

    None where there are no seeds and no curve of at least four points.
    """
    own = _of_seeds([cell for cell in cells if cell.role == role], f"seeds of runs of the role {role}")
    if own is not None and own.degrees_of_freedom >= _ENOUGH_FREEDOM:
        return own
    return _of_seeds(cells, "seeds of all runs") or _of_curves(cells)


def _of_seeds(cells: Sequence[Cell], source: str) -> RunNoise | None:
    several = [cell.log_losses for cell in cells if len(cell.runs) > 1]
    freedom = sum(len(losses) - 1 for losses in several)
    if not freedom:
        return None
    squares = sum(float(((losses - losses.mean()) ** 2).sum()) for losses in several)
    return RunNoise(float(np.sqrt(squares / freedom)), freedom, source)


def _of_curves(cells: Sequence[Cell]) -> RunNoise | None:
    """Departure of ln L from a parabola in ln D through each four neighbouring amounts of data, less its mean over
    all sizes.

    A curve bends by itself, at all sizes much alike; only what differs between sizes is taken for noise. With one size
    the bend counts too.
    """
    windows = _contrasts(cells)
    several = [found for found in windows.values() if len(found) > 1]
    if several:
        squares = sum(float(((np.array(found) - np.mean(found)) ** 2).sum()) for found in several)
        freedom = sum(len(found) - 1 for found in several)
    else:
        squares = sum(value**2 for found in windows.values() for value in found)
        freedom = sum(len(found) for found in windows.values())
    if not freedom:
        return None
    curves = len({key[:-1] for key in windows})
    independent = max(1, round(freedom / _overlap(len(windows) / curves)))
    source = "what departs from smooth curves: no cell has two seeds"
    return RunNoise(float(np.sqrt(squares / freedom)), independent, source)


def _contrasts(cells: Sequence[Cell]) -> dict[tuple[object, ...], list[float]]:
    """For each text and window of four amounts of data, what each size departs by: noise, and the curve's bend."""
    curves: dict[tuple[str, str, str, str, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        curves[(cell.role, cell.contender, cell.source, cell.target, cell.size_index)].append(cell)
    found: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for (*text, _), curve in curves.items():
        curve.sort(key=lambda cell: cell.tokens)
        for start in range(len(curve) - _WINDOW + 1):
            window = curve[start : start + _WINDOW]
            tokens = tuple(cell.tokens for cell in window)
            x = np.log(tokens)
            # The one direction that no parabola has, of length 1.
            direction = np.linalg.svd(np.vander(x - x.mean(), _WINDOW - 1).T)[2][-1]
            direction = direction * np.sign(direction[-1])
            found[(*text, tokens)].append(float(direction @ np.array([cell.log_loss for cell in window])))
    return found


def _overlap(windows: float) -> float:
    """How many of `windows` overlapping ones say as much as one alone, for evenly spaced ln D (Bartlett 1946)."""
    pairs = ((1, _CORRELATIONS[0]), (2, _CORRELATIONS[1]), (3, _CORRELATIONS[2]))
    return 1.0 + 2.0 * sum(rho**2 * max(0.0, 1.0 - lag / windows) for lag, rho in pairs)


@dataclass(frozen=True, slots=True)
class NoiseDraws:
    """Draws of run-to-run noise; one cell has the same draws wherever it is used, so that comparisons are paired."""

    num_resamples: int
    seed: int

    def shifts(self, cell: Cell, noise: RunNoise) -> Array:
        """What is added to the mean ln L of `cell`, [R]: Student's t, since the deviation itself is an estimate."""
        common = self._generator(f"{noise.source}/{noise.degrees_of_freedom}")
        freedom = noise.degrees_of_freedom
        scale = noise.std_log * np.sqrt(freedom / common.chisquare(freedom, self.num_resamples))
        key = f"{cell.role}/{cell.contender}/{cell.source}/{cell.target}/{cell.size_index}/{cell.tokens}"
        normal = self._generator(key).standard_normal(self.num_resamples)
        return np.asarray(scale * normal / np.sqrt(len(cell.runs)))

    def _generator(self, key: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(key.encode())])
