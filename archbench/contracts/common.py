"""Architectures that keep the settings which a protocol asks of all alike. Importing this loads no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from archbench.contracts.architecture import ArchitectureConfig, ModelDims, require_settings
from archbench.contracts.common_settings import CommonSettings

PUBLISHED_STD = 0.02
"""Standard deviation of the initial matrices and embeddings of GPT-2, BERT and most that came after them."""

PUBLISHED_WIDTH = 768
"""Of GPT-2 small and BERT base."""


@dataclass(frozen=True, slots=True)
class BuiltWith:
    """What a module is built with, where an architecture leaves the choice to common settings."""

    tie_output: bool
    output_bias: bool
    initial_std: float
    """Standard deviation of what starts with 0.02 as published."""


class KeepsCommonSettings(ArchitectureConfig):
    """An architecture that keeps all common settings. Its module is built with `built_with(dims)`.

    Fields at None are what its authors published, and are left out of a dump. `by_width` scales all that starts at a
    standard deviation of 0.02, embeddings, tables of positions and output matrix included, and what is derived from it,
    such as GPT-2's projections into the residual stream (over sqrt(2·n_layers)), by the same factor. Rules of another
    kind stay: Glorot's, torch's own of linear layers and convolutions, decays and step sizes of state spaces, norms.
    """

    added_later = frozenset(CommonSettings.model_fields)

    published_tie_output: ClassVar[bool]
    published_output_bias: ClassVar[bool]

    tie_output: bool | None = None
    """Whether the output matrix is that of the token embeddings; None: as published."""
    output_bias: bool | None = None
    """Whether logits have a bias; None: as published."""
    initialisation: Literal["by_width"] | None = None
    """`by_width`: standard deviation 0.02·sqrt(768/d_model) where 0.02 is published; None: as published."""

    @property
    def ties_output(self) -> bool:
        """Whether the output matrix is that of the token embeddings."""
        return self.published_tie_output if self.tie_output is None else self.tie_output

    @property
    def has_output_bias(self) -> bool:
        """Whether logits have a bias."""
        return self.published_output_bias if self.output_bias is None else self.output_bias

    def built_with(self, dims: ModelDims) -> BuiltWith:
        """The settings of a module of `dims`."""
        scale = math.sqrt(PUBLISHED_WIDTH / dims.d_model) if self.initialisation == "by_width" else 1.0
        return BuiltWith(self.ties_output, self.has_output_bias, PUBLISHED_STD * scale)

    def output_params(self, dims: ModelDims) -> int:
        """Parameters of the output beside the token embeddings: a matrix of its own, and the bias."""
        matrix = 0 if self.ties_output else dims.vocab_size * self.output_width(dims)
        return matrix + (dims.vocab_size if self.has_output_bias else 0)

    def output_width(self, dims: ModelDims) -> int:
        """Columns of the output matrix."""
        return dims.d_model

    def require_saved_output(self, config: Mapping[str, Any]) -> None:
        """Raises ValueError where a model that transformers saved with `config` has another output, for `saved_model`.

        The library ties the output, and gives it a bias, by default where this architecture does as published.
        """
        require_settings(
            {"tie_word_embeddings": self.published_tie_output, **config}, {"tie_word_embeddings": (self.ties_output,)}
        )
        require_settings({"output_bias": self.published_output_bias}, {"output_bias": (self.has_output_bias,)})
