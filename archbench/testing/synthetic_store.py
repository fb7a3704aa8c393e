"""A real store of made-up runs, for tests of commands that read one, and for timing them."""

from collections.abc import Mapping, Sequence
from typing import Any

from archbench.contracts.architecture import ModelDims
from archbench.numerics import NUMERICS
from archbench.results.runs import CurvePoint, PrefixAudit, RunRecord, RunState
from archbench.runs.records import Outcome, write_record, write_timings
from archbench.runs.store import IndexedRun, RunStore, ScanIndex
from archbench.spec.identity import (
    DataIdentity,
    EvaluationSettings,
    ExecutionSettings,
    RunFacts,
    RunIdentity,
    RunPlan,
    TrainingSettings,
)
from archbench.testing.synthetic import SyntheticLaw

TIMED: dict[str, Any] = {
    "hardware": {"device": "made up", "cpu": "made up", "cpu_cores": 2, "memory_bytes": 10**10},
    "versions": {"python": "3.11", "torch": "2.13"},
    "threads": 1,
    "training_seconds": 10.0,
}
"""What was measured of made-up runs."""
FAR_ABOVE = {"unigram": 90.0, "bigram": 80.0, "trigram": 70.0}
"""Reference lines of made-up runs, none of which is on the plateau."""


def plan_of(record: RunRecord, corpus: str) -> RunPlan:
    """A plan that `record` may have been made by."""
    return RunPlan(
        identity=RunIdentity(
            architecture={"kind": record.contender},
            dims=ModelDims(
                vocab_size=264, seq_len=128, d_model=32, n_layers=record.size_index + 1, n_heads=2, d_ff=128
            ),
            objective={"kind": "causal_lm"},
            data=DataIdentity(corpus_hash=corpus, order="stream"),
            training=TrainingSettings(batch_tokens=4096, total_steps=976, peak_learning_rate=3e-3),
            evaluation=EvaluationSettings(),
            seed=record.seed,
            numerics=NUMERICS,
        ),
        facts=RunFacts(
            track=record.track,
            non_embedding_params=record.non_embedding_params,
            embedding_params=record.embedding_params,
            kaplan_flops_per_token=6.0 * record.non_embedding_params,
            exact_flops_per_token=12.0 * record.non_embedding_params,
            exact_flops_by_component={"all": 4.0 * record.non_embedding_params},
            unique_tokens=record.unique_tokens,
        ),
        execution=ExecutionSettings(corpus_dir="corpus"),
    )


def end_planned(
    store: RunStore, plan: RunPlan, law: SyntheticLaw, *, shift: float = 1.0, timed: Mapping[str, Any] = TIMED
) -> None:
    """Puts the end of a planned run into a real store: a curve that follows `law`, times `shift`, at the plan's costs.

    `archbench run` then finds the run done. timed: what was measured of it.
    """
    training, facts = plan.identity.training, plan.facts
    curve = []
    for quarter in range(5):
        step = training.total_steps * quarter // 4
        tokens = step * training.batch_tokens
        loss = shift * law.loss(facts.non_embedding_params, max(tokens, training.batch_tokens))
        exact = facts.exact_flops_per_token * tokens
        curve.append(
            CurvePoint(
                step=step,
                tokens=tokens,
                kaplan_flops=facts.kaplan_flops_per_token * tokens,
                exact_flops=exact,
                train_loss_nats=loss if step else None,
                validation_loss_nats=loss,
                bits_per_byte=None,
                in_warmup=step <= training.schedule.warmup_steps,
                finished=step == training.total_steps,
                device_seconds=exact / 1e9,
            )
        )
    directory = store.prepare(plan)
    outcome = Outcome(RunState.DONE, tuple(curve), PrefixAudit(0.0, -0.002, 0.002, 256), reference_lines=FAR_ABOVE)
    write_record(directory, plan, outcome)
    write_timings(directory, curve, timed)


def store_records(store: RunStore, name: str, records: Sequence[RunRecord], corpus: str = "c" * 64) -> None:
    """Puts made-up runs into a real store, as the scan `name`."""
    store.create()
    indexed = []
    for record in records:
        plan = plan_of(record, corpus)
        directory = store.prepare(plan)
        write_record(directory, plan, Outcome(record.state, record.curve, record.prefix_audit, record.reason))
        write_timings(directory, record.curve, TIMED)
        indexed.append(
            IndexedRun(
                contender=record.contender,
                size_index=record.size_index,
                seed=record.seed,
                run_id=plan.identity.run_id,
                study=record.study,
                role=record.role,
            )
        )
    store.save_scan(
        ScanIndex(
            name=name,
            description="Made-up runs",
            baseline=records[0].contender,
            runs=tuple(indexed),
            spec={"data": {"dataset": {"kind": "installed_docs"}}},
            environment={"data": {"corpus_hash": corpus}},
        )
    )
