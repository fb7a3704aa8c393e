"""The batch scans of all contenders of a study, their B_crit side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from archbench.analysis.seeding import contender_seed
from archbench.contracts.study import StudyAnalysis, StudyRuns
from archbench.results.fits import FitResult
from archbench.results.studies import StudyComparison
from archbench.studies.batch_scan.analysis import BatchSamples, study_batches
from archbench.studies.batch_scan.results import BatchStudy
from archbench.studies.single_law import compared
from archbench.studies.text import law_sentences


@dataclass(frozen=True, slots=True)
class ScannedBatches:
    """What the batch scan of a contender is worth to its other studies."""

    contender: str
    study: str
    law: FitResult
    samples: BatchSamples


def study_contenders(runs: StudyRuns, targets_nats: Sequence[float]) -> StudyAnalysis:
    """B_crit of each contender, with the ratio to the baseline's on the same track; shared where it may be read."""
    results: list[BatchStudy] = []
    scanned: dict[str, ScannedBatches] = {}
    for contender, records in runs.by_contender.items():
        seed = contender_seed(runs.seed, contender)
        result, samples = study_batches(runs.name, contender, records, targets_nats=targets_nats, seed=seed)
        results.append(result)
        if samples is not None:
            scanned[contender] = ScannedBatches(contender, runs.name, result.law, samples)
    for index, other in enumerate(results[1:], start=1):
        first, pair = results[0], None
        if other.track == first.track and runs.baseline in (None, first.contender):
            pair = _compared(first.contender, other.contender, scanned)
        results[index] = replace(other, comparisons=(pair,)) if pair else other
    said = [line for one in results for line in law_sentences(one, [("B_crit(L)", one.law)])]
    return StudyAnalysis(tuple(results), tuple(said), tuple(scanned.values()))


def _compared(one: str, other: str, scanned: Mapping[str, ScannedBatches]) -> StudyComparison | None:
    """B_crit of `other` over that of `one` in the middle of the losses that both scans cover."""
    if one not in scanned or other not in scanned:
        return None
    a, b = scanned[one].samples, scanned[other].samples
    low = max(a.log_losses.min(), b.log_losses.min())
    high = min(a.log_losses.max(), b.log_losses.max())
    if low > high:
        return None
    middle = np.array([0.5 * (low + high)])
    # Resamples of two contenders are independent: any pairing is as good as another.
    difference = b.log_critical_at(middle)[:, 0] - a.log_critical_at(middle)[:, 0]
    value = float(b.estimate_at(middle)[0] - a.estimate_at(middle)[0])
    at = f"{float(np.exp(middle[0])):.3g} nats"
    return compared(one, other, "B_crit at equal loss", at, value, difference)
