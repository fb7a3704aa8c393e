"""Plans an entry's runs anew from the spec that it states: the run ids must come out as stated."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from archbench.data.corpus import Corpus, CorpusStatistics, MappedTokens
from archbench.errors import ArchbenchError, PluginError, SpecError
from archbench.host import Host
from archbench.leaderboard.bounds import MAX_RUNS
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_run import EntryRun
from archbench.scans.run_planner import RunPlanner
from archbench.scans.size_scan import size_scan
from archbench.spec.identity import RunFacts, RunIdentity, RunPlan
from archbench.spec.load import spec_from_yaml
from archbench.spec.models import Contender, Spec
from archbench.spec.rates import TunedRate
from archbench.spec.retired import without_retired
from archbench.spec.yaml_loader import YamlFile

_ROUNDING = 1e-9
"""Relative difference up to which two sums of FLOPs are the same."""


@dataclass(frozen=True, slots=True)
class Replanned:
    """What planning an entry's spec anew showed."""

    problems: tuple[str, ...] = ()
    """Where stated runs are not those of the spec."""
    unchecked: str | None = None
    """Why the runs could not be planned here, in words; None if they were."""
    unplannable: bool = False
    """Whether the problem is that this version cannot plan the spec at all."""


def replan(entry: LeaderboardEntry, host: Host) -> Replanned:
    """Whether the runs of `entry` are those that its spec asks for, planned on the text that it states.

    No text is prepared: hash, vocabulary and number of tokens are taken from the entry, since they enter the run ids
    as they are. Versions of components and libraries are those that the runs state. Runs of imported entries have no
    identity. Runs of identity format 1 are held against what that format would have been; where this version plans
    their spec otherwise, that is said and no problem.
    """
    if any(run.identity is None for run in entry.runs):
        return Replanned(unchecked=f"its runs come from {entry.origin}, which archbench did not plan")
    replanned = _replanned(entry, host)
    if RunIdentity.model_validate(entry.runs[0].identity).format == 1 and replanned.unplannable:
        return Replanned(unchecked=f"its runs are of identity format 1, an older version's: {replanned.problems[0]}")
    return replanned


def _replanned(entry: LeaderboardEntry, host: Host) -> Replanned:
    try:
        spec = spec_from_yaml(YamlFile(Path(entry.file_name), without_retired(entry.spec), {}), host.registry)
    except PluginError as error:
        return Replanned(unchecked=f"its spec needs a plug-in that is not here: {error}")
    except ArchbenchError as error:
        return Replanned(problems=(f"its spec is malformed: {error}",), unplannable=True)
    contender = next((one for one in spec.contenders if one.name == entry.contender), None)
    if contender is not None and isinstance(contender.recipe.section.learning_rate, TunedRate):
        return Replanned(unchecked="its learning rates come out of trials, which an entry does not hold")
    try:
        planned = {} if contender is None else _planned_runs(entry, spec, contender, host)
    except PluginError as error:
        return Replanned(unchecked=str(error))
    except ArchbenchError as error:
        return Replanned(problems=(f"its spec cannot be planned: {error}",), unplannable=True)
    return Replanned(problems=tuple(_differences(entry.runs, planned)))


def _planned_runs(entry: LeaderboardEntry, spec: Spec, contender: Contender, host: Host) -> dict[str, RunPlan]:
    """The plans of the contender's runs by run id, with the versions that the entry states."""
    stated = RunIdentity.model_validate(entry.runs[0].identity)
    if len(spec.scan.sizes) > MAX_RUNS:
        raise SpecError(f"it has {len(spec.scan.sizes):,} sizes, at most {MAX_RUNS:,} are planned here")
    if stated.format == 2:
        contender = replace(contender, components=stated.components, libraries=stated.libraries)
    data, texts = entry.environment.get("data", {}), entry.environment.get("texts", {})
    evaluated = tuple(_stated_corpus(texts.get(name, {})) for name in spec.evaluation.texts)
    planner = RunPlanner(spec, contender, _stated_corpus(data), host, numerics=stated.numerics, evaluated=evaluated)
    plans = [run.plan for run in islice(size_scan(planner), MAX_RUNS + 1)]
    if stated.format == 1:
        plans = [plan.model_copy(update={"identity": _in_format_1(plan.identity, stated)}) for plan in plans]
    planned = {plan.identity.run_id: plan for plan in plans}
    if len(planned) > MAX_RUNS:
        raise SpecError(f"it plans more than {MAX_RUNS:,} runs of {entry.contender!r}")
    return planned


def _in_format_1(planned: RunIdentity, stated: RunIdentity) -> RunIdentity:
    """`planned` as format 1 had it: without the settings that components have got since, under the stated versions."""
    optimizer = _known(planned.training.optimizer, stated.training.optimizer)
    return planned.model_copy(
        update={
            "format": 1,
            "architecture": _known(planned.architecture, stated.architecture),
            "objective": _known(planned.objective, stated.objective),
            "training": planned.training.model_copy(update={"optimizer": optimizer}),
            "numerics": None,
            "components": {},
            "libraries": {},
            "plugin_versions": stated.plugin_versions,
        }
    )


def _known(settings: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name in stated}


def _differences(runs: tuple[EntryRun, ...], planned: dict[str, RunPlan]) -> Iterator[str]:
    for run in runs:
        plan = planned.get(run.run_id)
        if plan is not None:
            yield from _false_facts(run, plan.facts)
            continue
        identities = [one.identity for one in planned.values()]
        near = next((one for one in identities if (one.seed, one.dims) == _place(run)), None)
        why = "no size and seed of its spec" if near is None else f"the spec gives {_first_difference(run, near)}"
        yield f"run {run.run_id[:12]} is not one that its spec plans: {why}"
    missing = sorted(planned.keys() - {run.run_id for run in runs})
    if missing:
        yield f"{len(missing)} of {len(planned)} runs that its spec plans are missing, among them {missing[0][:12]}"


def _false_facts(run: EntryRun, facts: RunFacts) -> Iterator[str]:
    """What the run states of its size and cost that does not follow from its identity."""
    for name in ("non_embedding_params", "embedding_params"):
        said, found = getattr(run, name), getattr(facts, name)
        if said != found:
            yield f"run {run.run_id[:12]}: {name} is stated as {said:,}, its shape has {found:,}"
    for name, per_token in (
        ("kaplan_flops", facts.kaplan_flops_per_token),
        ("exact_flops", facts.exact_flops_per_token),
    ):
        for tokens, said in zip(run.curve.tokens, getattr(run.curve, name), strict=True):
            if not math.isclose(said, per_token * tokens, rel_tol=_ROUNDING):
                yield (
                    f"run {run.run_id[:12]}: {name} is stated as {said:.6g} at {tokens:,} tokens,"
                    f" its shape gives {per_token * tokens:.6g}"
                )
                break


def _place(run: EntryRun) -> tuple[int, Any]:
    identity = RunIdentity.model_validate(run.identity)
    return identity.seed, identity.dims


def _first_difference(run: EntryRun, planned: RunIdentity) -> str:
    said, found = _flat(run.identity), _flat(planned.model_dump(mode="json"))
    name = next((name for name in sorted(said.keys() | found.keys()) if said.get(name) != found.get(name)), None)
    return "the same" if name is None else f"{name} {found.get(name)!r}, the run states {said.get(name)!r}"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        name: leaf for key, item in value.items() for name, leaf in _flat(item, f"{prefix}.{key}".strip(".")).items()
    }


def _stated_corpus(facts: dict[str, Any]) -> Corpus:
    """A corpus of which only what enters run ids and parameter counts is known; there are no files behind it."""
    unique = int(facts.get("unique_tokens", 0))
    nothing = np.zeros(0, dtype=np.int64)
    return Corpus(
        directory=Path(),
        corpus_hash=str(facts.get("corpus_hash", "")),
        text_vocab_size=int(facts.get("text_vocab_size", 0)),
        end_of_text=0,
        tokenizer_fingerprint=str(facts.get("tokenizer_fingerprint", "")),
        train=MappedTokens(np.lib.stride_tricks.as_strided(np.zeros(1, dtype=np.uint16), (unique,), (0,))),
        validation=MappedTokens(np.zeros(0, dtype=np.uint16)),
        validation_ends=nothing,
        validation_utf8_bytes=nothing,
        statistics=CorpusStatistics(0, 0, unique, 0, 0, 0, 0, 0),
        dataset={},
        tokenizer={},
    )
