"""Each kind of study becomes the runs that it says, shared with other studies where they are the same."""

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from archbench.errors import ArchbenchError, SpecError
from archbench.results.runs import CONTROL
from archbench.scans.planned_run import PlannedRun
from archbench.scans.planner import ScanPlan

Plan = Callable[..., ScanPlan]

OTHER_TEXT = "  texts: {other: {kind: text_files, paths: [FOLDER/1*.txt]}}\n  tokenizer"


def with_studies(text: str, *, size_scan: bool = False, texts: bool = False) -> list[tuple[str, str]]:
    """Replacements that add studies to the spec."""
    replacements = [("training:\n", f"studies:\n{text}training:\n")]
    if not size_scan:
        replacements.append(("  tokens: 40000\n", ""))
    if texts:
        replacements.append(("  tokenizer", OTHER_TEXT))
    return replacements


def of_study(plan: ScanPlan, study: str) -> list[PlannedRun]:
    return [run for run in plan.runs if run.study == study]


def subsets(runs: Sequence[PlannedRun]) -> list[int | None]:
    return [run.plan.identity.data.subset_tokens for run in runs]


DATA_SCAN = "  data: {kind: data_scan, unique_tokens: [2000, 4000, 8000], max_epochs: 10, min_tokens: 3e4, seeds: 2}\n"
GRID = "  grid: {kind: grid, sizes: [1e4, 4e4], unique_tokens: [4000, 8000], max_epochs: 10, min_tokens: 3e4}\n"


def test_a_data_scan_trains_the_largest_size_on_nested_subsets_until_it_stops(planned: Plan) -> None:
    plan = planned(*with_studies(DATA_SCAN))
    assert {run.study for run in plan.runs} == {"data"}
    assert {run.size_index for run in plan.runs} == {2}
    assert subsets(plan.runs) == [2000, 2000, 4000, 4000, 8000, 8000]
    assert [run.seed for run in plan.runs] == [0, 1] * 3
    # Ten epochs, but 30,000 tokens at least; half a batch of rounding.
    for run, tokens in zip(plan.runs[::2], (30_000, 40_000, 80_000), strict=True):
        assert run.tokens == pytest.approx(tokens, abs=256)
    for run in plan.runs:
        assert run.plan.identity.training.early_stopping is not None
        assert run.plan.identity.evaluation.spacing == "linear"
        assert run.plan.facts.unique_tokens == run.plan.identity.data.subset_tokens
    assert plan.index.spec["studies"]["data"]["unique_tokens"] == [2000, 4000, 8000]


def test_cells_that_a_grid_shares_with_a_data_scan_are_trained_once(planned: Plan) -> None:
    plan = planned(*with_studies(DATA_SCAN + GRID))
    shared = {run.run_id for run in of_study(plan, "data")} & {run.run_id for run in of_study(plan, "grid")}
    assert len(shared) == 2
    assert len(of_study(plan, "grid")) == 4
    assert len(plan.distinct_runs()) == 6 + 4 - 2


def test_an_isoflop_budget_gives_each_size_the_tokens_that_it_pays_for(planned: Plan) -> None:
    for axis in ("kaplan", "exact"):
        study = f"  iso: {{kind: isoflop, budgets: [2e9, 6e9], axis: {axis}}}\n"
        runs = planned(*with_studies(study)).runs
        assert len(runs) == 6
        for run, budget in zip(runs, [2e9] * 3 + [6e9] * 3, strict=True):
            facts = run.plan.facts
            per_token = facts.kaplan_flops_per_token if axis == "kaplan" else facts.exact_flops_per_token
            # Half a batch of rounding.
            assert run.tokens * per_token == pytest.approx(budget, abs=256 * per_token)


@pytest.mark.parametrize(("rule", "power"), [("sqrt", 0.5), ("linear", 1.0), ("same", 0.0)])
def test_a_batch_scan_scales_the_rate_of_the_specs_batch(planned: Plan, rule: str, power: float) -> None:
    study = (
        f"  b: {{kind: batch_scan, sizes: [1e4], batch_tokens: [128, 512, 1024], tokens: 2e4, learning_rate: {rule}}}\n"
    )
    training = [run.plan.identity.training for run in planned(*with_studies(study)).runs]
    assert [one.batch_tokens for one in training] == [128, 512, 1024]
    # Rounding of a few floating-point operations.
    assert [one.peak_learning_rate for one in training] == pytest.approx(
        [3e-3 * (batch / 512) ** power for batch in (128, 512, 1024)], rel=1e-12
    )


def test_a_batch_scan_takes_tokens_and_rates_for_each_batch(planned: Plan) -> None:
    study = (
        "  b: {kind: batch_scan, sizes: [2e4], batch_tokens: [256, 512], tokens: [1e4, 2e4], "
        "learning_rate: [1e-3, 2e-3], schedule: {kind: constant, warmup_steps: 2}}\n"
    )
    runs = planned(*with_studies(study)).runs
    assert [run.tokens for run in runs] == [39 * 256, 39 * 512]
    assert [run.plan.identity.training.peak_learning_rate for run in runs] == [1e-3, 2e-3]
    assert {run.plan.identity.training.schedule.kind for run in runs} == {"constant"}


def test_learning_curves_on_the_scans_own_terms_are_the_scans_runs(planned: Plan) -> None:
    plan = planned(*with_studies("  curves: {kind: learning_curves, tokens: 40000, seeds: 2}\n", size_scan=True))
    scan, curves = of_study(plan, "scan"), of_study(plan, "curves")
    assert {run.run_id for run in scan} < {run.run_id for run in curves}
    assert len(curves) == 6
    assert len(plan.distinct_runs()) == 6


TRANSFER = (
    "  move: {kind: transfer, directions: [{source: main, target: other}], sizes: [1e4, 2e4], "
    "pretraining_tokens: 40000, finetune_tokens: [1000, 2000], scratch_tokens: [1000, 2000, 4000], "
    "max_epochs: 4, min_tokens: 2e4}\n"
)


def test_a_transfer_study_begins_its_fine_tuning_from_runs_on_the_source(planned: Plan) -> None:
    plan = planned(*with_studies(TRANSFER, texts=True))
    assert Counter(run.role for run in plan.runs) == {"pretraining": 2, "scratch": 6, "finetune": 4}
    hashes = {name: corpus.corpus_hash for name, corpus in plan.corpora.items()}
    by_id = {run.run_id: run for run in plan.runs}
    for run in plan.runs:
        identity = run.plan.identity
        assert identity.data.corpus_hash == hashes["main" if run.role == "pretraining" else "other"]
        if run.role == "pretraining":
            assert run.plan.execution.keep_weights
            assert run.labels == {"source": "main"}
        elif run.role == "scratch":
            assert identity.start is None
            assert run.labels == {"target": "other"}
        else:
            assert identity.start is not None
            start = by_id[identity.start.run_id or ""]
            assert (start.role, start.size_index, start.seed) == ("pretraining", run.size_index, run.seed)
            assert run.after == (start.run_id,)
            assert run.labels == {"source": "main", "target": "other"}
            assert identity.data.also_validated == (hashes["main"],)
    texts = plan.index.environment["texts"]
    assert {name: one["corpus_hash"] for name, one in texts.items()} == hashes
    assert all(one["bytes_per_token"] > 0.9 for one in texts.values())


def test_a_run_from_scratch_serves_a_data_scan_and_the_size_scan_serves_as_pre_training(planned: Plan) -> None:
    data = (
        "  data: {kind: data_scan, text: other, sizes: [1e4], unique_tokens: [1000, 4000], max_epochs: 4, "
        "min_tokens: 2e4}\n"
    )
    plan = planned(*with_studies(TRANSFER + data, size_scan=True, texts=True))
    scratch = {run.run_id for run in plan.runs if run.role == "scratch"}
    assert {run.run_id for run in of_study(plan, "data")} < scratch
    scan = {run.run_id for run in of_study(plan, "scan")}
    pretraining = [run.run_id for run in plan.runs if run.role == "pretraining"]
    assert set(pretraining) < scan
    kept = {run.run_id: run.plan.execution.keep_weights for run in plan.distinct_runs()}
    assert all(kept[run_id] for run_id in pretraining)


def test_every_cell_is_tried_at_the_same_rates(planned: Plan) -> None:
    plan = planned(*with_studies(TRANSFER.replace("min_tokens", "rate_factors: [0.5, 1, 2], min_tokens"), texts=True))
    tried = Counter(
        (run.role, run.size_index, run.plan.identity.data.subset_tokens)
        for run in plan.runs
        if run.role != "pretraining"
    )
    assert set(tried.values()) == {3}
    assert {run.labels.get("rate_factor") for run in plan.runs if run.role == "finetune"} == {"0.5", "1", "2"}
    rates = {run.plan.identity.training.peak_learning_rate for run in plan.runs if run.role == "scratch"}
    assert sorted(rates) == pytest.approx([1.5e-3, 3e-3, 6e-3], rel=1e-12)


def test_directions_share_what_they_can(planned: Plan) -> None:
    both = TRANSFER.replace("target: other}", "target: other}, {source: other, target: [main]}")
    plan = planned(*with_studies(both, texts=True))
    assert Counter(run.role for run in plan.runs) == {"pretraining": 4, "scratch": 12, "finetune": 8}
    assert {(run.labels["source"], run.labels["target"]) for run in plan.runs if run.role == "finetune"} == {
        ("main", "other"),
        ("other", "main"),
    }


def test_studies_may_name_their_contenders(planned: Plan) -> None:
    study = "  curves: {kind: learning_curves, tokens: 40000, contenders: [twin]}\n"
    twin = ("{kind: gpt2}}", "{kind: gpt2}}\n  twin: {architecture: {kind: reformer, bucket_size: 16}}")
    plan = planned(twin, *with_studies(study, size_scan=True))
    assert {run.contender for run in of_study(plan, "curves")} == {"twin"}
    assert {run.contender for run in of_study(plan, "scan")} == {"gpt2", "twin"}


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (
            "  a: {kind: data_skan}\n",
            "s.yaml:13: studies.a.kind: study 'data_skan' is not registered; did you mean 'data_scan'?",
        ),
        (
            "  a: {unique_tokens: [1]}\n",
            "s.yaml:13: studies.a.kind: is missing",
        ),
        ("  a: {kind: data_scan, uniqe_tokens: [1]}\n", "studies.a.uniqe_tokens: unknown key; did you mean 'unique_to"),
        ("  a:\n    kind: grid\n    unique_tokens: [2e3, 1e3]\n", "s.yaml:15: studies.a.unique_tokens: got 1000 after"),
        (
            "  a: {kind: grid, unique_tokens: [8, 1e3], min_tokens: 2e4}\n",
            "s.yaml:13: studies.a.unique_tokens[0]: gpt2: 8 tokens of text",
        ),
        (
            "  a: {kind: grid, unique_tokens: [1e3, 1e9]}\n",
            "studies.a.unique_tokens[1]: gpt2: got 1,000,000,000 tokens, ",
        ),
        (
            "  a: {kind: grid, sizes: [1e4, 3e4], unique_tokens: [1e3]}\n",
            "studies.a.sizes[1]: got 30000, expected one of",
        ),
        ("  a: {kind: learning_curves, tokens: 1e3}\n", "studies.a.tokens: gpt2: 5 steps of warm-up do not fit into a"),
        ("  a: {kind: learning_curves, tokens: 1e8}\n", "studies.a.tokens: gpt2: 1e+08 tokens are"),
        (
            "  a: {kind: learning_curves, tokens: 4e4, text: mian}\n",
            "studies.a.text: there is no text of data 'mian'; did",
        ),
        (
            "  a: {kind: learning_curves, tokens: 4e4, contenders: [gtp2]}\n",
            "studies.a.contenders[0]: there is no conte",
        ),
        ("  scan: {kind: learning_curves, tokens: 4e4}\n", "s.yaml:13: studies.scan: 'scan' is the study that the"),
        (
            "  a: {kind: batch_scan, batch_tokens: [64, 100], tokens: 4e4}\n",
            "studies.a.batch_tokens[1]: got 100, which",
        ),
        (
            "  a: {kind: learning_curves, batch_tokens: 100, tokens: 4e4}\n",
            "studies.a.batch_tokens: got 100, which is not a multiple of seq_len 64; choose 64 or 128",
        ),
        ("  a: {kind: batch_scan, batch_tokens: [64, 128], tokens: [4e4]}\n", "tokens has 1 entries for 2 batches"),
        ("  a: {kind: isoflop, budgets: [1e9, 1e14]}\n", "studies.a.budgets[1]: gpt2: 1.64e+09 tokens are"),
        (
            TRANSFER.replace("source: main", "source: mein"),
            "studies.move.directions[0].source: there is no text of data",
        ),
        (TRANSFER.replace("source: main", "source: other"), "studies.move.directions[0]: source and target are both"),
        (
            TRANSFER.replace("[1000, 2000],", "[8, 2000],"),
            "studies.move.finetune_tokens[0]: gpt2: 8 tokens of text are",
        ),
        (
            TRANSFER.replace("4000],", "4e7],"),
            "studies.move.scratch_tokens[2]: gpt2: got 40,000,000 tokens, but other has",
        ),
    ],
)
def test_a_study_that_cannot_be_is_told_with_its_place(planned: Plan, study: str, message: str) -> None:
    with pytest.raises(ArchbenchError) as caught:
        planned(*with_studies(study, texts="kind: transfer" in study))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_points_are_told(planned: Plan) -> None:
    plan = planned(*with_studies(DATA_SCAN + GRID))
    assert "study data: 3 amounts of text: L(D) needs at least 4 to be trusted" in plan.warnings
    assert "study grid: 2 sizes: L(N,D) needs at least 3 to be trusted" in plan.warnings


def test_a_spec_needs_a_size_scan_or_studies(planned: Plan) -> None:
    with pytest.raises(SpecError, match="only a spec with studies needs neither"):
        planned(("  tokens: 40000\n", ""))


BATCH_SCAN = "  batches: {{kind: batch_scan, sizes: [1e4], batch_tokens: [{}, 512, 1024], tokens: 4e4{}}}\n"


def test_a_batch_scan_may_measure_its_gradient_noise_where_other_runs_do_not(planned: Plan) -> None:
    plan = planned(*with_studies(BATCH_SCAN.format(256, ", noise_scale_every: 25"), size_scan=True))
    every = {run.plan.identity.evaluation.noise_scale_every for run in of_study(plan, "batches")}
    assert every == {25}
    assert {run.plan.identity.evaluation.noise_scale_every for run in of_study(plan, "scan")} == {0}


def test_noise_of_a_batch_of_one_row_is_refused_before_anything_is_trained(planned: Plan) -> None:
    one_row = planned(*with_studies(BATCH_SCAN.format(256, ""))).runs[0].plan.identity.dims.seq_len
    with pytest.raises(SpecError, match="gradient noise needs two rows in a batch"):
        planned(*with_studies(BATCH_SCAN.format(one_row, ", noise_scale_every: 25")))


def test_fine_tuning_tries_rates_of_its_own_but_as_many(planned: Plan) -> None:
    factors = "rate_factors: [0.5, 1], finetune_rate_factors: [0.1, 0.3], min_tokens"
    plan = planned(*with_studies(TRANSFER.replace("min_tokens", factors), texts=True))
    tried = {
        role: {run.labels["rate_factor"] for run in plan.runs if run.role == role} for role in ("scratch", "finetune")
    }
    assert tried == {"scratch": {"0.5", "1"}, "finetune": {"0.1", "0.3"}}
    unequal = factors.replace("[0.1, 0.3]", "[0.1]")
    with pytest.raises(SpecError, match="give as many of each"):
        planned(*with_studies(TRANSFER.replace("min_tokens", unequal), texts=True))


def test_every_run_is_evaluated_on_the_texts_of_the_spec_and_names_change_no_id(planned: Plan) -> None:
    one = ("evaluation: {tokens: 2000,", "evaluation: {final_tokens: all, texts: [other], tokens: 2000,")
    plan = planned(*with_studies(DATA_SCAN, size_scan=True, texts=True), one)
    other = plan.corpora["other"].corpus_hash
    for run in plan.runs:
        identity = run.plan.identity
        assert identity.data.also_validated == (other,)
        assert identity.evaluation.texts == ()
        assert other in run.plan.execution.other_corpora
        # A run that stops early has its best point for a result, not its last weights.
        assert identity.evaluation.final_tokens == (None if identity.training.early_stopping else "all")
    named = planned(
        *[(old, new.replace("other", "elsewhere")) for old, new in with_studies(DATA_SCAN, size_scan=True, texts=True)],
        (one[0], one[1].replace("other", "elsewhere")),
    )
    assert [run.run_id for run in named.runs] == [run.run_id for run in plan.runs]
    plain = planned(*with_studies(DATA_SCAN, size_scan=True, texts=True))
    assert {run.run_id for run in plain.runs}.isdisjoint(run.run_id for run in plan.runs)
    assert "final_tokens" not in plain.runs[0].plan.identity.canonical_json()


def test_controls_are_evaluated_on_the_texts_of_the_spec_as_the_baseline_is(planned: Plan) -> None:
    plan = planned(
        *with_studies(DATA_SCAN, size_scan=True, texts=True),
        ("evaluation: {tokens: 2000,", "evaluation: {texts: [other], tokens: 2000,"),
        ("data:\n", "question: {controls: [baseline_again]}\ndata:\n"),
    )
    controls = [run.plan.identity for run in plan.runs if run.role == CONTROL]
    assert controls
    assert {identity.data.also_validated for identity in controls} == {(plan.corpora["other"].corpus_hash,)}


def test_a_run_on_another_text_is_not_evaluated_on_it_twice(planned: Plan) -> None:
    plan = planned(*with_studies(TRANSFER, texts=True), ("{tokens: 2000,", "{texts: [other], tokens: 2000,"))
    hashes = {name: corpus.corpus_hash for name, corpus in plan.corpora.items()}
    also = {run.role: run.plan.identity.data.also_validated for run in plan.runs}
    assert also == {"pretraining": (hashes["other"],), "scratch": (), "finetune": (hashes["main"],)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("[othr]", "evaluation.texts[0]: there is no text of data 'othr'; did you mean 'other'?"),
        ("[other, other]", "evaluation.texts[1]: 'other' stands there twice"),
        ("[main]", "'main' is the text of data.dataset, on which every run is evaluated anyway"),
    ],
)
def test_texts_that_cannot_be_evaluated_on_are_told_with_their_place(planned: Plan, texts: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(("  tokenizer", OTHER_TEXT), ("{tokens: 2000,", f"{{texts: {texts}, tokens: 2000,"))
    assert message in str(caught.value)
