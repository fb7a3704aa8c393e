"""The evaluation at a run's end, document by document: known answers, interruptions, memory, masks."""

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.contracts.architecture import Attention, ModelDims
from archbench.contracts.objective import IGNORE_TARGET, ObjectiveConfig, model_vocab_size
from archbench.data.corpus import Corpus
from archbench.data.document_batches import MAX_GROUPS, DocumentBatches
from archbench.data.ngrams import predicted_tokens, reference_lines
from archbench.errors import DataError
from archbench.registry import Registry
from archbench.results.runs import FinalEvaluation, RunRecord, RunState
from archbench.runs.directory import RunDirectory
from archbench.runs.files import DamagedFile
from archbench.runs.records import Outcome, read_record
from archbench.runs.sealed import seal
from archbench.spec.identity import EvaluationSettings
from archbench.training.engine import TrainedModule
from archbench.training.evaluation import evaluate_documents, load_document_set
from archbench.training.ranks import Ranks

ALL = {"final_tokens": "all"}
MASKED = {"kind": "masked_lm"}


def batches_of(corpus: Corpus, objective: ObjectiveConfig, **changes: Any) -> DocumentBatches:
    asked: dict[str, Any] = {"seq_len": 32, "rows": 4, "tokens": "all", "seed": 0, "carries_state": False}
    return DocumentBatches(corpus, objective, **{**asked, **changes})


def small_model(registry: Registry, corpus: Corpus, kind: str, seq_len: int) -> TrainedModule:
    objective = CausalLmConfig()
    architecture = registry.architectures[kind].config.model_validate({"kind": kind})
    dims = ModelDims(
        vocab_size=model_vocab_size(corpus.text_vocab_size, objective),
        seq_len=seq_len, d_model=16, n_layers=2, n_heads=2, d_ff=64,
    )  # fmt: skip
    torch.manual_seed(0)
    return TrainedModule(architecture.build(dims, Attention.CAUSAL), None, objective).eval()


def document(corpus: Corpus, number: int) -> np.ndarray:
    start = int(corpus.validation_ends[number - 1]) if number else 0
    return corpus.validation.window(start, int(corpus.validation_ends[number]) - start)


@pytest.mark.parametrize("carries_state", [False, True])
def test_every_token_of_every_document_is_predicted_once_in_batches_of_one_group(
    corpus: Corpus, carries_state: bool
) -> None:
    batches = batches_of(corpus, CausalLmConfig(), carries_state=carries_state)
    covered = [int(number) for group in batches.groups for number in group.documents]
    assert covered == list(range(corpus.validation_documents))
    assert 1 < len(batches.groups) <= MAX_GROUPS
    for group in batches.groups:
        made = list(batches.batches(group))
        assert all(len(batch["tokens"]) <= 4 for batch in made)
        predicted = np.concatenate([batch["targets"][batch["targets"] != IGNORE_TARGET] for batch in made])
        expected = np.concatenate([document(corpus, int(number)) for number in group.documents])
        assert sorted(predicted.tolist()) == sorted(expected.tolist())
        assert group.tokens == len(expected)
    assert sum(group.utf8_bytes for group in batches.groups) == corpus.statistics.validation_bytes


def test_rows_of_a_model_with_memory_go_on_where_they_ended(corpus: Corpus) -> None:
    batches = batches_of(corpus, CausalLmConfig(), seq_len=4, carries_state=True)
    group = max(batches.groups, key=lambda one: one.windows)
    made = list(batches.batches(group))
    assert len(made[0]["tokens"]) > 1
    assert len(made) > 1
    for before, after in pairwise(made):
        goes_on = before["targets"][:, -1] != IGNORE_TARGET
        assert goes_on.any()
        assert np.array_equal(before["targets"][goes_on, -1], after["tokens"][goes_on, 0])


def test_loss_of_each_group_is_that_of_its_documents_by_torch_alone(corpus: Corpus, registry: Registry) -> None:
    seq_len = 32
    module = small_model(registry, corpus, "gpt2", seq_len)
    settings = EvaluationSettings(final_tokens="all")
    documents = load_document_set(
        corpus, CausalLmConfig(), settings, seq_len=seq_len, rows=4, rows_per_pass=2, carries_state=False
    )
    found = evaluate_documents(module, documents, torch.device("cpu"))
    assert found is not None
    total = 0.0
    for group, nats, predictions in zip(documents.source.groups, found.nats, found.predictions, strict=True):
        text = [document(corpus, int(number)) for number in group.documents]
        stream = torch.from_numpy(np.concatenate([np.array([corpus.end_of_text]), *text]))
        expected = 0.0
        for start in range(0, len(stream) - 1, seq_len):
            window, targets = stream[start : start + seq_len], stream[start + 1 : start + seq_len + 1]
            tokens = torch.full((1, seq_len), corpus.end_of_text)
            tokens[0, : len(window)] = window
            with torch.no_grad():
                logits = module.model.logits(module.model.encode(tokens).hidden)[0, : len(targets)]
            expected += float(cross_entropy(logits, targets, reduction="sum"))
        # Sums of some hundred float32 numbers in another order.
        assert nats == pytest.approx(expected, rel=1e-5)
        assert predictions == len(stream) - 1
        total += expected
    assert found.loss_nats == pytest.approx(total / corpus.statistics.validation_tokens, rel=1e-5)
    assert found.bits_per_byte == pytest.approx(total / np.log(2) / corpus.statistics.validation_bytes, rel=1e-5)
    assert found.num_documents == corpus.validation_documents


def test_memory_reads_a_document_as_one_pass_over_it_would(corpus: Corpus, registry: Registry) -> None:
    module = small_model(registry, corpus, "transformer_xl", 32)
    settings = EvaluationSettings(final_tokens="all")
    documents = load_document_set(
        corpus, CausalLmConfig(), settings, seq_len=32, rows=4, rows_per_pass=4, carries_state=True
    )
    found = evaluate_documents(module, documents, torch.device("cpu"))
    assert found is not None
    group = documents.source.groups[0]
    state, expected = None, 0.0
    for batch in documents.source.batches(group):
        assert len(batch["tokens"]) == 1  # too short for several lanes
        with torch.no_grad():
            parts = module.forward({name: torch.from_numpy(one) for name, one in batch.items()}, state)
        state = parts.state
        expected += float(parts.nats)
    assert state, "this architecture carries memory"
    assert found.nats[0] == pytest.approx(expected, rel=1e-6)
    without = evaluate_documents(
        module,
        load_document_set(corpus, CausalLmConfig(), settings, seq_len=32, rows=4, rows_per_pass=4, carries_state=False),
        torch.device("cpu"),
    )
    assert without is not None
    assert without.nats[0] != found.nats[0]


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_take_whole_groups_and_together_find_the_same_bits(corpus: Corpus, registry: Registry, size: int) -> None:
    """Each rank's part is computed in turn; what a group of processes does with them is the sum."""
    module = small_model(registry, corpus, "gpt2", 32)
    documents = load_document_set(
        corpus, CausalLmConfig(), EvaluationSettings(final_tokens="all"),
        seq_len=32, rows=4, rows_per_pass=4, carries_state=False,
    )  # fmt: skip
    alone = evaluate_documents(module, documents, torch.device("cpu"))
    parts: list[torch.Tensor] = []
    rounds = []

    class Recorded(Ranks):
        def summed(self, values: torch.Tensor) -> torch.Tensor:
            parts.append(values.clone())
            return torch.stack(parts).sum(dim=0)

    for rank in range(size):
        calls: list[int] = []
        together = evaluate_documents(
            module,
            documents,
            torch.device("cpu"),
            Recorded(rank=rank, size=size),
            after_round=lambda calls=calls: calls.append(1),
        )
        rounds.append(len(calls))
    assert together == alone
    assert len(set(rounds)) == 1, "all ranks look for a stop equally often"


def test_groups_of_short_documents_are_few_and_hardly_padded(corpus: Corpus) -> None:
    batches = batches_of(corpus, CausalLmConfig(), seq_len=128)
    assert all(group.tokens >= 4 * 128 for group in batches.groups[:-1])
    assert max(len(group.documents) for group in batches.groups) > 1
    padded = sum(group.windows * 128 for group in batches.groups)
    assert padded <= 1.25 * corpus.statistics.validation_tokens


def test_masked_objectives_get_whole_windows_of_each_group(corpus: Corpus, registry: Registry) -> None:
    objective = registry.objectives["masked_lm"].config.model_validate(MASKED)
    batches = batches_of(corpus, objective)
    for group in batches.groups:
        assert group.windows == group.tokens // 32
        for batch in batches.batches(group):
            assert ((batch["targets"] != IGNORE_TARGET).sum(axis=1) == round(0.15 * 32)).all()
    with pytest.raises(DataError, match=r"one window needs 65536; give more text"):
        batches_of(corpus, objective, seq_len=65536)


@pytest.mark.parametrize(
    ("architecture", "objective"),
    [({"kind": "reformer", "bucket_size": 16}, None), ({"kind": "transformer_xl"}, None), ({"kind": "bert"}, MASKED)],
)
def test_run_interrupted_in_its_final_evaluation_leaves_the_same_record(
    plan: Any, train_to_end: Callable[..., Outcome | None], architecture: dict[str, Any], objective: Any
) -> None:
    undisturbed, interrupted = (
        plan(name, architecture=architecture, objective=objective, evaluation=ALL) for name in ("one", "two")
    )
    outcome = train_to_end(undisturbed)
    assert outcome is not None
    assert outcome.state is RunState.DONE
    assert outcome.final is not None
    steps = undisturbed.read_plan().identity.training.total_steps
    asked = StopLate(steps + 2)
    assert train_to_end(interrupted, asked) is None
    assert asked.looked > steps, "it was asked to stop after its last step"
    assert train_to_end(interrupted).state is RunState.DONE  # type: ignore[union-attr]
    assert interrupted.record_file.read_bytes() == undisturbed.record_file.read_bytes()
    assert (outcome.final.utf8_bytes is None) is (objective is not None)


class StopLate(threading.Event):
    """A request to stop that is made when it is looked at for the `looks`th time."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looked, self._looks = 0, looks

    def is_set(self) -> bool:
        self.looked += 1
        return self.looked >= self._looks


def test_finished_loss_is_that_of_all_documents_and_the_curve_keeps_its_own(
    plan: Any, train_to_end: Callable[..., Outcome | None], corpus: Corpus
) -> None:
    whole, before = plan("whole", evaluation=ALL), plan("before")
    train_to_end(whole)
    train_to_end(before)
    record, old = read(whole), read(before)
    assert [point.validation_loss_nats for point in record.curve] == [point.validation_loss_nats for point in old.curve]
    assert record.final is not None
    assert old.final is None
    assert sum(record.final.predictions) == corpus.statistics.validation_tokens
    assert record.final_loss_nats == record.final.loss_nats != record.curve[-1].validation_loss_nats
    assert old.final_loss_nats == old.curve[-1].validation_loss_nats
    assert b"final_tokens" not in before.plan_file.read_bytes()


def test_reference_lines_are_of_the_text_that_the_final_loss_is_of(
    plan: Any, train_to_end: Callable[..., Outcome | None], corpus: Corpus
) -> None:
    whole, before = plan("whole", evaluation=ALL), plan("before")
    train_to_end(whole)
    train_to_end(before)
    held_out = corpus.validation.ids[: corpus.statistics.validation_tokens].astype(np.int64)[None]
    tokens = np.concatenate([[[corpus.end_of_text]], held_out[:, :-1]], axis=1)
    predicted = predicted_tokens([{"tokens": tokens, "targets": held_out}], CausalLmConfig(), corpus.text_vocab_size)
    assert predicted is not None
    expected = reference_lines(corpus, corpus.train, predicted, read(whole).curve[-1].tokens)
    lines = read(whole).reference_lines
    assert (lines["unigram"], lines["bigram"]) == (expected["unigram"], expected["bigram"])
    # Where a group begins, what came before the end of the document before is not known.
    assert lines["trigram"] == pytest.approx(expected["trigram"], rel=1e-3)
    assert lines["unigram"] != read(before).reference_lines["unigram"]
    # A model with memory reads the same text in lanes: the lines are of the text, not of how it is read.
    carried = plan("carried", evaluation=ALL, architecture={"kind": "transformer_xl"})
    train_to_end(carried)
    assert read(carried).reference_lines == lines


def test_other_texts_are_evaluated_by_document_too(
    plan: Any, train_to_end: Callable[..., Outcome | None], corpus: Corpus
) -> None:
    directory = plan(
        evaluation={"final_tokens": 600},
        data={"also_validated": (corpus.corpus_hash,)},
        execution={"other_corpora": {corpus.corpus_hash: str(corpus.directory)}},
    )
    outcome = train_to_end(directory)
    assert outcome is not None
    assert outcome.final is not None
    assert sum(outcome.final.predictions) <= 600
    assert outcome.other_losses_nats == {}, "its own text is no other"


def test_curve_points_of_a_cpu_know_the_processors_time(plan: Any, train_to_end: Any) -> None:
    directory = plan()
    train_to_end(directory)
    seconds = [point.processor_seconds for point in read(directory).curve]
    assert seconds[0] == 0.0
    assert seconds == sorted(seconds)
    assert seconds[-1] > 0.0
    assert b"processor_seconds" not in directory.record_file.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda final: final.update(loss_nats=1.0), "the final loss is 1 nats, its groups give"),
        (lambda final: final["predictions"].pop(), "its columns differ in length"),
        (lambda final: final.update(nats="many"), "column 'nats' of the final evaluation"),
        (lambda final: final.pop("documents"), "field 'documents' is missing"),
    ],
)
def test_a_final_evaluation_that_belies_itself_is_damage(
    plan: Any, train_to_end: Any, change: Callable[[Any], Any], words: str
) -> None:
    directory = plan(evaluation=ALL)
    train_to_end(directory)
    content = json.loads(directory.record_file.read_bytes())
    change(content["final"])
    del content["digest"]
    directory.record_file.write_bytes(seal(content))
    with pytest.raises(DamagedFile, match=words):
        read(directory)


def test_loss_and_bits_per_byte_follow_from_the_groups() -> None:
    final = FinalEvaluation((30.0, 10.0), (10, 10), (1, 2), (20, 20))
    assert final.loss_nats == 2.0
    assert final.bits_per_byte == pytest.approx(1.0 / np.log(2.0))
    assert FinalEvaluation((30.0,), (10,), (1,), None).bits_per_byte is None


def read(directory: RunDirectory) -> RunRecord:
    record = read_record(directory, contender="x", size_index=0)
    assert record is not None
    return record
