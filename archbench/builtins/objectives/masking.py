"""Which tokens a masked objective hides, and what stands in their place (Devlin et al. 2019, section 3.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archbench.contracts.objective import IGNORE_TARGET, Windows
from archbench.data.hashing import below, hash_words

if TYPE_CHECKING:
    from torch import Tensor

    from archbench.nn.language_model import LanguageModel

_CHOICE, _ACTION, _REPLACEMENT = 11, 12, 13
"""Keep the draws of different purposes apart."""

_UNIT_BITS = np.uint64(11)
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1
"""Of the predicted tokens: shown as [MASK], shown as a random token; the rest is shown as it is."""


@dataclass(frozen=True, slots=True)
class Masked:
    """A window after masking."""

    tokens: NDArray[np.int64]
    """[rows, length], what the model sees."""
    positions: NDArray[np.int64]
    """[rows, num_predicted], rising: where a token is predicted."""
    targets: NDArray[np.int64]
    """[rows, num_predicted], the tokens that stood there."""


def mask_keys(windows: Windows, length: int, *, masking: str) -> NDArray[np.uint64]:
    """[rows, length] random words: one for each token, from which all that is random about its masking follows.

    `static`: a function of the seed and the token's place in the stream, so that each epoch hides the same tokens
    (but for a window's fixed number of them). `dynamic`: of the seed, the step, the row and the place in the row.
    """
    offsets = np.arange(length)
    if masking == "static":
        return hash_words(windows.seed, 0, windows.starts[:, None] + offsets)
    return hash_words(windows.seed, 1, windows.step, windows.rows[:, None], offsets)


def masked(
    tokens: NDArray[np.int64],
    keys: NDArray[np.uint64],
    *,
    num_predicted: int,
    mask_id: int,
    text_vocab_size: int,
) -> Masked:
    """Hides `num_predicted` tokens of each row: 80 % behind [MASK], 10 % behind a random token, 10 % not at all.

    `tokens` and `keys` are [rows, length]. The number is fixed, so that arrays keep one shape from step to step.
    """
    chosen = np.argpartition(hash_words(keys, _CHOICE), num_predicted - 1, axis=1)[:, :num_predicted]
    positions = np.sort(chosen, axis=1)
    position_keys = np.take_along_axis(keys, positions, axis=1)
    targets = np.take_along_axis(tokens, positions, axis=1)
    action = (hash_words(position_keys, _ACTION) >> _UNIT_BITS) * 2.0**-53
    replacement = below(hash_words(position_keys, _REPLACEMENT), text_vocab_size)
    shown = np.where(action < MASK_SHARE, mask_id, np.where(action < MASK_SHARE + RANDOM_SHARE, replacement, targets))
    corrupted = tokens.copy()
    np.put_along_axis(corrupted, positions, shown, axis=1)
    return Masked(corrupted, positions, targets)


def scattered_targets(
    positions: NDArray[np.int64], position_targets: NDArray[np.int64], seq_len: int
) -> NDArray[np.int64]:
    """[rows, seq_len]: the targets where they belong, IGNORE_TARGET everywhere else."""
    targets = np.full((positions.shape[0], seq_len), IGNORE_TARGET, dtype=np.int64)
    np.put_along_axis(targets, positions, position_targets, axis=1)
    return targets


def num_predicted_of(length: int, mask_probability: float) -> int:
    """Predicted tokens of a window of `length` tokens: the nearest whole number, at least one."""
    return max(1, round(length * mask_probability))


def masked_nats(model: "LanguageModel", hidden: "Tensor", batch: Mapping[str, "Tensor"]) -> tuple["Tensor", "Tensor"]:
    """Cross entropy in nats summed over the predicted positions, and their number; other positions get no logits."""
    from archbench.nn.loss import token_nats

    where = batch["positions"].unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
    targets = batch["position_targets"]
    nats = token_nats(model, hidden.gather(1, where), targets, ignored=IGNORE_TARGET)
    return nats, (targets != IGNORE_TARGET).sum()
