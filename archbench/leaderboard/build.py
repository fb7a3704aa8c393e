"""From the results of a scan to entries of the leaderboard."""

import hashlib
from collections.abc import Mapping
from typing import Any

from archbench.contracts.report import ScanResults
from archbench.leaderboard.back_test import back_test_errors
from archbench.leaderboard.entry import LeaderboardEntry, figure_of
from archbench.leaderboard.entry_run import EntryAudit, EntryCurve, EntryFinal, EntryRun
from archbench.results.arithmetic import ARITHMETIC
from archbench.results.published import publication_of
from archbench.results.runs import RunRecord


def make_entries(results: ScanResults) -> list[LeaderboardEntry]:
    """An entry for each contender that has a usable run, in the order of the records; none for published ones."""
    by_name: dict[str, list[RunRecord]] = {}
    for record in results.records:
        if publication_of(record) is not None:
            continue
        by_name.setdefault(record.contender, []).append(record)
    return [_entry(results, name, records) for name, records in by_name.items() if any(run.usable for run in records)]


def _entry(results: ScanResults, name: str, records: list[RunRecord]) -> LeaderboardEntry:
    first = records[0]
    environment = dict(results.environment)
    plugin: Mapping[str, Any] = {}
    if isinstance(plugins := environment.get("plugins"), Mapping):
        environment["plugins"] = {key: value for key, value in plugins.items() if key == name}
        plugin = plugins.get(name, {})
    if results.controls:
        environment["controls"] = {one.control: one.passed for one in results.controls}
    errors = back_test_errors(records)
    return LeaderboardEntry(
        scan=results.name,
        description=results.description,
        contender=name,
        architecture=first.architecture,
        objective=first.objective,
        track=first.track,
        family=plugin.get("family"),
        baseline=results.baseline,
        origin=first.origin,
        spec=dict(results.spec),
        environment=environment,
        runs=tuple(_run(record) for record in sorted(records, key=lambda run: (run.size_index, run.seed, run.run_id))),
        figures={
            frontier.cost_axis: figure_of(frontier, errors.get(frontier.cost_axis.value))
            for frontier in results.frontiers
            if frontier.contender == name
        },
    )


def _run(record: RunRecord) -> EntryRun:
    timings = record.details.get("timings") or {}
    audit = record.prefix_audit
    curve = EntryCurve.of(record.curve)
    return EntryRun(
        run_id=record.run_id if len(record.run_id) == 64 else hashlib.sha256(record.run_id.encode()).hexdigest(),
        size_index=record.size_index,
        non_embedding_params=record.non_embedding_params,
        embedding_params=record.embedding_params,
        seed=record.seed,
        batch_tokens=record.batch_tokens,
        planned_tokens=record.planned_tokens,
        unique_tokens=record.unique_tokens,
        state=record.state,
        reason=record.reason,
        reference_lines=dict(record.reference_lines),
        identity=record.details.get("identity"),
        arithmetic=dict(record.details.get(ARITHMETIC, {})),
        hardware={key: timings[key] for key in ("hardware", "versions") if key in timings},
        prefix_audit=None
        if audit is None
        else EntryAudit(
            mean_gain_nats=audit.mean_gain_nats,
            low_nats=audit.low_nats,
            high_nats=audit.high_nats,
            num_positions=audit.num_positions,
        ),
        curve=curve,
        curve_sha256=curve.sha256,
        final=EntryFinal.of(record.final) if record.final is not None else None,
    )
