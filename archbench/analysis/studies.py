"""Every study of a scan, analysed by its kind: `analyse_studies(records, spec)`.

The size scan itself gives L(N), and every run that measured gradient noise enters one noise study, whatever study it
belongs to. What a study takes from another one (B_crit for L(N,S)) is looked up by contender.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from archbench.analysis.comparison.decomposition import DECOMPOSITION, decompose
from archbench.analysis.critical_batch import BatchSamples, study_batches
from archbench.analysis.fitting.power_sum import Array
from archbench.analysis.fitting.residual_bootstrap import exp_interval
from archbench.analysis.isoflop_study import study_isoflop
from archbench.analysis.noise_study import study_noise, two_sided
from archbench.analysis.seeding import contender_seed
from archbench.analysis.size_data_studies import LawSamples, study_data, study_grid, study_sizes
from archbench.analysis.step_study import Correction, study_steps
from archbench.analysis.transfer import TransferSettings, analyse_transfer
from archbench.results.decomposition import Decomposition
from archbench.results.fits import FitResult
from archbench.results.runs import RESULT, SIZE_SCAN, CostAxis, RunRecord, size_scan_results
from archbench.results.studies import BatchStudy, StudyComparison, StudyResult
from archbench.results.transfer import TransferResult

StudyResults = tuple[StudyResult, ...] | TransferResult | Decomposition

NOISE = "noise_scale"
"""Under this name stand the measurements of gradient noise, which are no study of their own in the spec."""

_LAWS: Mapping[str, Callable[..., tuple[Any, LawSamples]]] = {
    "size_scan": study_sizes,
    "data_scan": study_data,
    "grid": study_grid,
}
_COMPARED = {"size_scan": ("alpha_N",), "data_scan": ("alpha_D",), "grid": ("alpha_N", "alpha_D")}


@dataclass(frozen=True, slots=True)
class _Batches:
    """What the batch scans of a contender are worth to its other studies."""

    study: str
    law: FitResult
    samples: BatchSamples


def analyse_studies(
    records: Sequence[RunRecord],
    spec: Mapping[str, Any],
    environment: Mapping[str, Any] | None = None,
    *,
    baseline: str | None = None,
    seed: int = 0,
) -> dict[str, StudyResults]:
    """Name of each study that has runs -> what it found: one result for each contender, the baseline first.

    spec: as resolved; its `studies` say which kind each is. environment: what texts a scan was made of is looked up
    there. A transfer study gives one `TransferResult`. Elsewhere runs of another role than `result` enter nothing.
    """
    sections: dict[str, Mapping[str, Any]] = {SIZE_SCAN: {"kind": "size_scan"}, **(spec.get("studies") or {})}
    grouped = _grouped(records, baseline)
    found: dict[str, StudyResults] = {}
    batches: dict[str, _Batches] = {}
    for name, section in sections.items():
        if section["kind"] == "batch_scan" and grouped.get(name):
            results, drawn = _batch_scan(name, section, grouped[name], baseline, seed)
            found[name] = results
            batches |= drawn
    for name, section in sections.items():
        if section["kind"] == "transfer" and any(record.study == name and record.usable for record in records):
            found[name] = _transfer(name, records, environment or {}, seed)
        contenders = grouped.get(name, {})
        kind = str(section["kind"])
        if not contenders:
            continue
        if kind in _LAWS:
            found[name] = _law_studies(kind, name, contenders, baseline, seed)
        elif kind == "isoflop":
            axis = CostAxis(section.get("axis") or CostAxis.KAPLAN)
            found[name] = tuple(
                study_isoflop(name, one, runs, axis=axis, seed=seed) for one, runs in contenders.items()
            )
        elif kind == "learning_curves":
            found[name] = tuple(
                study_steps(name, one, runs, _correction(batches.get(one)), seed=seed)
                for one, runs in contenders.items()
            )
    if noise := _noise(records, batches, baseline, seed):
        found[NOISE] = noise
    if chain := spec.get("decompose"):
        found[DECOMPOSITION] = decompose(size_scan_results(records), chain, baseline=baseline, seed=seed)
    order = [*sections, DECOMPOSITION, NOISE]
    return {name: found[name] for name in order if name in found}


def _grouped(records: Sequence[RunRecord], baseline: str | None) -> dict[str, dict[str, list[RunRecord]]]:
    """Study -> contender -> runs."""
    found: dict[str, dict[str, list[RunRecord]]] = {}
    for record in sorted(records, key=lambda record: record.contender != baseline):  # stable: the spec's order behind
        if record.role == RESULT:
            found.setdefault(record.study, {}).setdefault(record.contender, []).append(record)
    return found


def _transfer(name: str, records: Sequence[RunRecord], environment: Mapping[str, Any], seed: int) -> TransferResult:
    texts = environment.get("texts") or {}
    per_token = {text: float(one["bytes_per_token"]) for text, one in texts.items() if one.get("bytes_per_token")}
    settings = TransferSettings(study=name, bytes_per_token=per_token, seed=seed)
    return analyse_transfer([record for record in records if record.study == name], settings)


def _correction(found: _Batches | None) -> Correction | None:
    return None if found is None else Correction(found.law, found.samples, f"the batch scan `{found.study}`")


def _batch_scan(
    name: str,
    section: Mapping[str, Any],
    contenders: Mapping[str, Sequence[RunRecord]],
    baseline: str | None,
    seed: int,
) -> tuple[tuple[BatchStudy, ...], dict[str, _Batches]]:
    results, drawn = [], {}
    targets = section.get("targets_nats") or ()
    for contender, runs in contenders.items():
        own_seed = contender_seed(seed, contender)
        result, samples = study_batches(name, contender, runs, targets_nats=targets, seed=own_seed)
        results.append(result)
        if samples is not None:
            drawn[contender] = _Batches(name, result.law, samples)
    first = results[0]
    compared = [first]
    for other in results[1:]:
        pair = None
        if other.track == first.track and baseline in (None, first.contender):
            pair = _compare_batches(first.contender, other.contender, drawn)
        compared.append(replace(other, comparisons=(pair,)) if pair else other)
    return tuple(compared), drawn


def _compare_batches(one: str, other: str, drawn: Mapping[str, _Batches]) -> StudyComparison | None:
    """B_crit of `other` over that of `one` in the middle of the losses that both scans cover."""
    if one not in drawn or other not in drawn:
        return None
    a, b = drawn[one].samples, drawn[other].samples
    low = max(a.log_losses.min(), b.log_losses.min())
    high = min(a.log_losses.max(), b.log_losses.max())
    if low > high:
        return None
    middle = np.array([0.5 * (low + high)])
    # Resamples of two contenders are independent: any pairing is as good as another.
    difference = b.log_critical_at(middle)[:, 0] - a.log_critical_at(middle)[:, 0]
    value = float(b.estimate_at(middle)[0] - a.estimate_at(middle)[0])
    return StudyComparison(
        baseline=one,
        contender=other,
        quantity="B_crit at equal loss",
        at=f"{float(np.exp(middle[0])):.3g} nats",
        ratio=exp_interval(value, difference),
        p_value=two_sided(difference),
    )


def _law_studies(
    kind: str, name: str, contenders: Mapping[str, Sequence[RunRecord]], baseline: str | None, seed: int
) -> tuple[StudyResult, ...]:
    made = [
        _LAWS[kind](name, contender, runs, seed=contender_seed(seed, contender))
        for contender, runs in contenders.items()
    ]
    first, first_samples = made[0]
    results = [first]
    for other, samples in made[1:]:
        # Exponents may be put side by side across tracks, losses may not.
        pairs = (
            tuple(
                pair
                for parameter in _COMPARED[kind]
                if (pair := _compare_exponents(first.contender, other.contender, parameter, first_samples, samples))
            )
            if baseline in (None, first.contender)
            else ()
        )
        results.append(replace(other, comparisons=pairs))
    return tuple(results)


def _compare_exponents(
    one: str, other: str, parameter: str, first: LawSamples, second: LawSamples
) -> StudyComparison | None:
    values = [_exponent(samples, parameter) for samples in (first, second)]
    if values[0] is None or values[1] is None:
        return None
    (a, drawn_a), (b, drawn_b) = values[0], values[1]
    difference = np.log(drawn_b) - np.log(drawn_a)
    return StudyComparison(
        baseline=one,
        contender=other,
        quantity=parameter,
        at="",
        ratio=exp_interval(float(np.log(b) - np.log(a)), difference),
        p_value=two_sided(difference),
    )


def _exponent(samples: LawSamples, parameter: str) -> tuple[float, Array] | None:
    if samples.samples is None or not samples.fit.ok:
        return None
    drawn = np.maximum(samples.samples.params()[parameter], 1e-12)
    return samples.fit.result.params[parameter], drawn


def _noise(
    records: Sequence[RunRecord], batches: Mapping[str, _Batches], baseline: str | None, seed: int
) -> tuple[StudyResult, ...]:
    """Measurements of every contender that has some, in whatever study they were made."""
    by_contender: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.contender != baseline):
        if record.noise_scale and record.usable:
            by_contender.setdefault(record.contender, []).append(record)
    return tuple(
        study_noise(name, runs, batches[name].samples if name in batches else None, seed=seed)
        for name, runs in by_contender.items()
    )
