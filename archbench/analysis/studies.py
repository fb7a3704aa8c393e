"""Every study of a scan, analysed by its own kind: `analyse_studies(records, spec, kinds)`."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from archbench.contracts.study import StudyAnalysis, StudyConfig, StudyRuns
from archbench.errors import PluginError, in_one_line
from archbench.registry import Catalog
from archbench.results.runs import RunRecord
from archbench.spec.problems import describe

log = logging.getLogger(__name__)


def analyse_studies(
    records: Sequence[RunRecord],
    spec: Mapping[str, Any],
    kinds: Catalog[StudyConfig],
    environment: Mapping[str, Any] | None = None,
    *,
    baseline: str | None = None,
    seed: int = 0,
) -> dict[str, StudyAnalysis]:
    """Name of each study that has something to say -> what its runs show, in the order in which reports have them.

    spec: as resolved; to the studies that it names come those that kinds imply. environment: what texts a scan was made
    of is looked up there. A study whose kind is not registered, or fails, is left out with a warning on the log: what
    else the runs show must not hang on it.
    """
    ordered = sorted(records, key=lambda record: record.contender != baseline)  # stable: the spec's order behind
    studies = _studies(spec, kinds)
    found: dict[str, StudyAnalysis] = {}
    shared: list[object] = []
    for name, study in sorted(studies.items(), key=lambda item: item[1].analysis_order):
        runs = StudyRuns(name, ordered, spec, environment or {}, baseline, seed, tuple(shared))
        try:
            analysis = study.analyse(runs)
        except Exception as error:  # a stranger's study must not cost the whole report
            registered = kinds[study.kind]
            if registered.own:
                raise
            where = f"study {name}, kind {study.kind!r} of plug-in {registered.plugin!r},"
            log.warning("%s failed: %s", where, in_one_line(error))
            continue
        shared += analysis.shared
        if analysis.results != ():
            found[name] = analysis
    return {name: found[name] for name in studies if name in found}


def _studies(spec: Mapping[str, Any], kinds: Catalog[StudyConfig]) -> dict[str, StudyConfig]:
    """The studies that the spec names, between those that are implied and come before and behind them."""
    implied: dict[str, StudyConfig] = {}
    for registered in kinds.entries.values():
        implied |= registered.config.implied_by(spec)
    usual = StudyConfig.analysis_order
    before = {name: study for name, study in implied.items() if study.analysis_order < usual}
    behind = sorted(
        ((name, study) for name, study in implied.items() if name not in before),
        key=lambda item: item[1].analysis_order,
    )
    return {**before, **_named(spec, kinds), **dict(behind)}


def _named(spec: Mapping[str, Any], kinds: Catalog[StudyConfig]) -> dict[str, StudyConfig]:
    named: dict[str, StudyConfig] = {}
    for name, section in (spec.get("studies") or {}).items():
        try:
            named[name] = kinds[section["kind"]].config.model_validate(section)
        except PluginError as error:
            log.warning("study %s is not analysed: %s", name, error)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            log.warning("study %s is not analysed: %s: %s", name, place, describe(problem))
    return named
