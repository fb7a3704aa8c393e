"""The loss on the fixed evaluation set of the curve, and at a run's end on held-out text document by document."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from archbench.contracts.objective import ObjectiveConfig
from archbench.data.batches import Batch, EvaluationBatches
from archbench.data.corpus import Corpus
from archbench.data.document_batches import DocumentBatches
from archbench.nn.language_model import State
from archbench.results.runs import FinalEvaluation
from archbench.spec.identity import EvaluationSettings
from archbench.training.engine import TrainedModule
from archbench.training.randomness import Purpose, seed_generators
from archbench.training.ranks import ALONE, Ranks
from archbench.units import bits_per_byte

EVALUATION_SEED = 0
"""One for all runs: masks, hash rotations and sampled positions are part of the fixed evaluation set."""


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The evaluation batches on the device."""

    batches: Sequence[Mapping[str, Tensor]]
    rows_per_pass: int
    """Most rows of one forward pass."""
    carries_state: bool
    """Whether row r of batch i + 1 is given the memory of row r of batch i."""
    total_bytes: int | None
    """UTF-8 bytes of the text, where each of its tokens is predicted once."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The loss over one evaluation set; not finite if the model is broken."""

    loss_nats: float
    """Per predicted token."""
    bits_per_byte: float | None

    @property
    def finite(self) -> bool:
        """Whether the loss is a number."""
        return math.isfinite(self.loss_nats)


def load_evaluation_set(
    corpus: Corpus,
    objective: ObjectiveConfig,
    settings: EvaluationSettings,
    *,
    seq_len: int,
    rows: int,
    rows_per_pass: int,
    carries_state: bool,
    device: torch.device,
) -> EvaluationSet:
    """The evaluation set; `rows` lanes at most, whatever number of rows one pass takes."""
    source = EvaluationBatches(
        corpus, objective, seq_len=seq_len, rows=rows, tokens=settings.tokens, seed=EVALUATION_SEED
    )
    return EvaluationSet(
        batches=[to_device(source[index], device) for index in range(len(source))],
        rows_per_pass=rows_per_pass,
        carries_state=carries_state,
        total_bytes=source.total_bytes if objective.predicts_every_token else None,
    )


@torch.no_grad()
def evaluate(
    module: TrainedModule,
    evaluation_set: EvaluationSet,
    device: torch.device,
    after_batch: Callable[[], None] = lambda: None,
) -> Evaluation:
    """The loss of `module`, which the caller has put into evaluation mode; it starts without memory."""
    nats = torch.zeros((), dtype=torch.float64, device=device)
    predictions = torch.zeros((), dtype=torch.float64, device=device)
    states: dict[int, State | None] = {}
    for index, batch in enumerate(evaluation_set.batches):
        for part, micro in row_slices(batch, evaluation_set.rows_per_pass):
            seed_generators(EVALUATION_SEED, Purpose.EVALUATION, index)
            # Past the engine's hooks, which are for training.
            parts = module.forward(micro, states.get(part))
            if evaluation_set.carries_state:
                states[part] = parts.state
            nats += parts.nats
            predictions += parts.predictions
        after_batch()
    total = float(nats)
    loss = total / float(predictions)
    finite_bytes = evaluation_set.total_bytes is not None and math.isfinite(total)
    return Evaluation(loss, bits_per_byte(total, evaluation_set.total_bytes or 0) if finite_bytes else None)


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """Held-out text in groups of whole documents; its batches are made when they are needed."""

    source: DocumentBatches
    rows_per_pass: int
    """Most rows of one forward pass."""
    carries_state: bool
    """Whether row r of a group's batch i + 1 is given the memory of row r of its batch i."""
    predicts_every_token: bool


def load_document_set(
    corpus: Corpus,
    objective: ObjectiveConfig,
    settings: EvaluationSettings,
    *,
    seq_len: int,
    rows: int,
    rows_per_pass: int,
    carries_state: bool,
) -> DocumentSet:
    """The text of `evaluation.final_tokens`, which is given; `rows` in a batch at most."""
    assert settings.final_tokens is not None, "asked for where it is given"
    source = DocumentBatches(
        corpus,
        objective,
        seq_len=seq_len,
        rows=rows,
        tokens=settings.final_tokens,
        seed=EVALUATION_SEED,
        carries_state=carries_state,
    )
    return DocumentSet(source, rows_per_pass, carries_state, objective.predicts_every_token)


@torch.no_grad()
def evaluate_documents(
    module: TrainedModule,
    documents: DocumentSet,
    device: torch.device,
    ranks: Ranks = ALONE,
    *,
    after_batch: Callable[[], None] = lambda: None,
    after_round: Callable[[], None] = lambda: None,
) -> FinalEvaluation | None:
    """The loss of `module`, in evaluation mode, on every group of documents; None where one is not finite.

    Ranks take groups in turn, each a whole one, so that its sum has the same bits however many there are.
    `after_round` is called by all of them at the same points.
    """
    groups = documents.source.groups
    sums = torch.zeros(len(groups), 2, dtype=torch.float64, device=device)
    for begin in range(0, len(groups), ranks.size):
        if begin + ranks.rank < len(groups):
            _add_group(module, documents, begin + ranks.rank, sums, after_batch)
        after_round()
    nats, predictions = ranks.summed(sums).cpu().unbind(dim=1)
    if not bool(torch.isfinite(nats).all()):
        return None
    return FinalEvaluation(
        nats=tuple(nats.tolist()),
        predictions=tuple(int(count) for count in predictions.tolist()),
        documents=tuple(len(group.documents) for group in groups),
        utf8_bytes=tuple(group.utf8_bytes for group in groups) if documents.predicts_every_token else None,
    )


def _add_group(
    module: TrainedModule, documents: DocumentSet, number: int, sums: Tensor, after_batch: Callable[[], None]
) -> None:
    """Adds nats and predictions of one group to its row of `sums`; the model begins without memory."""
    group = documents.source.groups[number]
    states: dict[int, State | None] = {}
    for index, arrays in enumerate(documents.source.batches(group), group.first_batch):
        for part, micro in row_slices(to_device(arrays, sums.device), documents.rows_per_pass):
            seed_generators(EVALUATION_SEED, Purpose.EVALUATION, index)
            parts = module.forward(micro, states.get(part))
            if documents.carries_state:
                states[part] = parts.state
            sums[number] += torch.stack([parts.nats.double(), parts.predictions.double()])
        after_batch()


def to_device(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """The arrays of `batch` as tensors; a copy to an accelerator runs beside the host."""
    if device.type == "cpu":
        return {name: torch.from_numpy(array) for name, array in batch.items()}
    return {name: torch.from_numpy(array).pin_memory().to(device, non_blocking=True) for name, array in batch.items()}


def row_slices(batch: Mapping[str, Tensor], rows_per_pass: int) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """The batch cut into pieces of at most `rows_per_pass` rows, numbered."""
    rows = batch["tokens"].shape[0]
    if rows <= rows_per_pass:
        yield 0, batch
        return
    for part, start in enumerate(range(0, rows, rows_per_pass)):
        yield part, {name: tensor[start : start + rows_per_pass] for name, tensor in batch.items()}
