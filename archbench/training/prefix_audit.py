"""Whether a causal model gains from later tokens.

At sampled positions the loss is computed twice: inside the full sequence, and with everything behind the position
replaced by tokens from elsewhere in the evaluation text. The second knows the prefix alone, yet has the same length, so
that models which need a fixed or divisible length are audited too. LSH attention, for one, is causal in its values
while its buckets depend on later tokens.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor
from torch.nn import functional

from archbench.contracts.objective import IGNORE_TARGET
from archbench.nn.language_model import LanguageModel, State
from archbench.results.runs import PrefixAudit
from archbench.training.evaluation import EVALUATION_SEED, EvaluationSet, row_slices
from archbench.training.randomness import Purpose, derived_seed, seed_generators

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class _Samples:
    """Positions audited in one batch, one a row."""

    rows: Tensor
    positions: Tensor
    targets: Tensor
    changed_tokens: Tensor
    """The batch's tokens with other text behind each position; rows that are not sampled are as they were."""


@torch.no_grad()
def audit_prefixes(model: LanguageModel, evaluation_set: EvaluationSet, num_positions: int) -> PrefixAudit | None:
    """The mean gain from later tokens at about `num_positions` positions, with a 95 % interval (paired, Student's t).

    At most one position per window is taken, so that the gains are nearly independent. The model is in evaluation mode.
    None where fewer than two positions can be sampled.
    """
    samples = _sample(evaluation_set, num_positions)
    gains: list[Tensor] = []
    states: dict[int, State | None] = {}
    last = max(samples, default=-1)
    for index, batch in enumerate(evaluation_set.batches[: last + 1]):
        if index in samples:
            gains.append(_gains(model, batch, samples[index], evaluation_set.rows_per_pass, states, index))
        if evaluation_set.carries_state:
            for part, micro in row_slices(batch, evaluation_set.rows_per_pass):
                seed_generators(EVALUATION_SEED, Purpose.EVALUATION, index)
                states[part] = _encode(model, micro, states.get(part))[1]
    return summarise(torch.cat(gains).double().cpu().numpy()) if gains else None


def summarise(gains: np.ndarray[tuple[int], np.dtype[np.float64]]) -> PrefixAudit | None:
    """Mean and 95 % interval of independent `gains`; None for fewer than two or where one is not finite."""
    count = len(gains)
    if count < 2 or not np.isfinite(gains).all():
        return None
    mean = float(gains.mean())
    margin = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * float(gains.std(ddof=1)) / math.sqrt(count)
    return PrefixAudit(mean, mean - margin, mean + margin, count)


def _sample(evaluation_set: EvaluationSet, num_positions: int) -> dict[int, _Samples]:
    """Sampled positions by number of the batch: batches spread evenly, a random position in each row."""
    batches = evaluation_set.batches
    rows = batches[0]["tokens"].shape[0]
    rng = np.random.default_rng(derived_seed(EVALUATION_SEED, Purpose.AUDIT))
    num_batches = min(len(batches), math.ceil(num_positions / rows))
    if num_batches == 0:
        return {}
    chosen = np.unique(np.linspace(0, len(batches) - 1, num_batches).round().astype(int))
    samples: dict[int, _Samples] = {}
    left = num_positions
    for index in map(int, chosen):
        batch = batches[index]
        donor = batches[(index + len(batches) // 2) % len(batches)]["tokens"].roll(1, dims=0)
        targets = batch["targets"].cpu().numpy()
        seq_len = targets.shape[1]
        sampled_rows: list[int] = []
        positions: list[int] = []
        for row in range(rows):
            eligible = np.flatnonzero(targets[row, : seq_len - 1] != IGNORE_TARGET)
            if len(eligible) and len(sampled_rows) < left:
                sampled_rows.append(row)
                positions.append(int(rng.choice(eligible)))
        if not sampled_rows:
            continue
        left -= len(sampled_rows)
        device = batch["tokens"].device
        at_rows, at = torch.tensor(sampled_rows, device=device), torch.tensor(positions, device=device)
        changed = batch["tokens"].clone()
        behind = torch.arange(seq_len, device=device) > at[:, None]
        changed[at_rows] = torch.where(behind, donor[at_rows], changed[at_rows])
        samples[index] = _Samples(at_rows, at, batch["targets"][at_rows, at], changed)
    return samples


def _gains(
    model: LanguageModel,
    batch: Mapping[str, Tensor],
    samples: _Samples,
    rows_per_pass: int,
    states: Mapping[int, State | None],
    index: int,
) -> Tensor:
    def losses(tokens: Tensor) -> Tensor:
        def parts() -> Iterator[Tensor]:
            for part, micro in row_slices({**batch, "tokens": tokens}, rows_per_pass):
                # The same draws for both: hash rotations are not what is compared.
                seed_generators(EVALUATION_SEED, Purpose.EVALUATION, index)
                yield _encode(model, micro, states.get(part))[0]

        hidden = torch.cat(list(parts()))[samples.rows, samples.positions]
        return functional.cross_entropy(model.logits(hidden).float(), samples.targets, reduction="none")

    return losses(samples.changed_tokens) - losses(batch["tokens"])


def _encode(model: LanguageModel, batch: Mapping[str, Tensor], state: State | None) -> tuple[Tensor, State | None]:
    encoded = model.encode(batch["tokens"], token_types=batch.get("token_types"), state=state)
    return encoded.hidden, encoded.state
