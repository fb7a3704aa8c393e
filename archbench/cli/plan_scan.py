"""Plans of specs, with the published entries that they name."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from archbench.cli.common import note
from archbench.data.cache import Report
from archbench.data.corpus import Corpus
from archbench.extras import REMEDY
from archbench.host import Host
from archbench.runs.store import RunStore
from archbench.scans.planner import ScanPlan, plan_scan
from archbench.scans.texts import prepared_texts
from archbench.spec.models import Contender, Spec


def plan_with_entries(
    spec: Spec,
    host: Host,
    leaderboard_dir: Path,
    *,
    cache_dir: Path,
    store: RunStore,
    texts: Callable[[Spec, Path, Report], Mapping[str, Corpus]] = prepared_texts,
) -> ScanPlan:
    """As `plan_scan`, with the runs of the entries that `spec` names. Raises SpecError where one does not fit."""
    if not spec.published:
        return plan_scan(spec, host, cache_dir=cache_dir, store=store, report=note, texts=texts)
    # Imported now: most specs name none, and the leaderboard loads the analysis.
    from archbench.leaderboard.published import read_published, with_published

    entries = read_published(spec, leaderboard_dir)  # before any text is prepared
    plan = plan_scan(spec, host, cache_dir=cache_dir, store=store, report=note, texts=texts)
    return with_published(spec, plan, entries, host)


def despite_missing_libraries(spec: Spec) -> Spec:
    """`spec` with a stand-in for the version of each library that is not installed, which is told.

    What it would cost can be said without; its runs have other ids then, and none of them is one that has finished.
    """
    spec, missing = with_stand_ins(spec)
    if not missing:
        return spec
    verb = "is" if len(missing) == 1 else "are"
    note(
        f"{', '.join(missing)} {verb} not installed, so that no run is known to have finished, and run ids stand for "
        f"none that is trained: {REMEDY}"
    )
    return spec


def with_stand_ins(spec: Spec) -> tuple[Spec, list[str]]:
    """`spec` with a stand-in for the version of each library that is not installed, and which these are."""
    contenders = (*spec.contenders, *spec.controls)
    missing = sorted({name for one in contenders for name, version in one.libraries.items() if version is None})
    planned = replace(
        spec,
        contenders=tuple(_with_stand_ins(one) for one in spec.contenders),
        controls=tuple(_with_stand_ins(one) for one in spec.controls),
    )
    return planned, missing


def _with_stand_ins(contender: Contender) -> Contender:
    return replace(contender, libraries={name: got or "not installed" for name, got in contender.libraries.items()})
