"""Plans of specs, with the published entries that they name."""

from collections.abc import Callable, Mapping
from pathlib import Path

from archbench.cli.common import note
from archbench.data.cache import Report
from archbench.data.corpus import Corpus
from archbench.host import Host
from archbench.runs.store import RunStore
from archbench.scans.planner import ScanPlan, plan_scan
from archbench.scans.texts import prepared_texts
from archbench.spec.models import Spec


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
