"""Text without meaning, for tests of what makes examples out of text."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archbench.api import Windows


@dataclass(frozen=True, slots=True)
class RandomText:
    """A token stream drawn uniformly from [0, vocab_size): a `TokenSource`."""

    tokens: NDArray[np.int64]
    """[num_tokens]."""

    @classmethod
    def drawn(cls, num_tokens: int, vocab_size: int, seed: int = 0) -> "RandomText":
        """`num_tokens` tokens from a seeded generator."""
        return cls(np.random.default_rng(seed).integers(vocab_size, size=num_tokens, dtype=np.int64))

    @property
    def num_tokens(self) -> int:
        """Length of the stream."""
        return len(self.tokens)

    def window(self, start: int, length: int) -> NDArray[np.int64]:
        """Tokens [start, start + length), wrapping round at the end of the stream."""
        return self.tokens[np.arange(start, start + length) % len(self.tokens)]

    def windows(self, rows: NDArray[np.int64], *, stride: int, lookahead: int, step: int, seed: int) -> Windows:
        """One window a row; the windows of a step lie one after another in the stream, in the order of the rows."""
        starts = rows * stride
        tokens = np.stack([self.window(int(start), stride + lookahead) for start in starts])
        return Windows(tokens=tokens, starts=starts, rows=rows, step=step, seed=seed)
