"""Mamba-2's hyperparameters, size and cost. Importing this loads no torch."""

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from archbench.api import Attention, ForwardFlops, KeepsCommonSettings, LadderConfig, ModelDims, ParamCount, Source
from archbench.nn.costs import chunk_shares

if TYPE_CHECKING:
    from archbench_mamba2.model import Mamba2

_LARGEST_STATE = 128


class Mamba2Config(KeepsCommonSettings, LadderConfig):
    """Layers of a selective state space alone: no attention and no feed-forward layer.

    In `ModelDims`, `d_ff` is the inner width that the paper calls `expand` times d_model, and `n_heads` divides it.
    """

    kind: Literal["mamba2"] = "mamba2"
    d_state: PositiveInt | None = None
    """Features of the state for each channel (N); None: as many as the model is wide, up to the paper's 128."""
    d_conv: PositiveInt = 4
    """Positions that the short convolution sees."""
    chunk_size: PositiveInt = 64
    """Positions that are computed as products of matrices; the state goes from chunk to chunk. Changes no result."""

    summary: ClassVar[str] = "Mamba-2: selective state space with a scalar decay per head, in place of attention"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="Dao and Gu 2024, Transformers are SSMs (arXiv 2405.21060)",
        implementation="archbench's own, on torch, in the chunked form of the paper; held against transformers'"
        " Mamba2Mixer, whose torch code takes two to three times as long on a CPU",
        faithful="the block: one projection to gate, inputs, B, C and step sizes, a short causal convolution with SiLU,"
        " the state space with one decay a head and B and C shared by all heads, a skip D, a gated RMSNorm; two such"
        " layers where a Transformer has attention and a feed-forward layer; initialisation, tied output matrix",
        differs="sizes come from archbench's ladder: heads are as wide as GPT-2's there, at most 64, and the inner"
        " width is between 1.75 and 2.25 times that of the model where exactly twice misses a size by more than 5 %;"
        " the state is as wide as a model narrower than 128",
    )

    def build(self, dims: ModelDims, attention: Attention) -> "Mamba2":
        """See `ArchitectureConfig.build`."""
        from archbench_mamba2.model import Mamba2

        self.require_buildable(dims, attention)
        return Mamba2(
            dims,
            self.built_with(dims),
            d_state=self._state(dims),
            d_conv=self.d_conv,
            chunk_size=self.chunk_size,
        )

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`."""
        width, inner, state = dims.d_model, dims.d_ff, self._state(dims)
        convolved = inner + 2 * state
        projections = width * (inner + convolved + dims.n_heads) + inner * width
        decay_and_skip = 3 * dims.n_heads
        layer = projections + (self.d_conv + 1) * convolved + decay_and_skip + inner + width
        return ParamCount(
            embedding=dims.vocab_size * width + self.output_params(dims),
            non_embedding=dims.n_layers * layer + width,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; masked halves of chunks count."""
        width, inner, state, layers = dims.d_model, dims.d_ff, self._state(dims), dims.n_layers
        convolved = inner + 2 * state
        inside, across = chunk_shares(seq_len=dims.seq_len, chunk_size=self.chunk_size)
        return ForwardFlops(
            {
                "projections": layers * 2.0 * width * (2 * inner + convolved + dims.n_heads),
                "convolution": layers * 2.0 * self.d_conv * convolved,
                # The products of B and C are shared by all heads.
                "state_space_in_chunks": layers * 2.0 * self.chunk_size * (state + inner) * inside,
                "state_space_across_chunks": layers * 4.0 * state * inner * across,
                "logits": 2.0 * width * dims.vocab_size,
            },
            uncounted={
                "fading": "decays between the positions of a chunk:"
                f" {self.chunk_size} exponentials and products per token, head and layer",
            },
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """Two layers for each of a Transformer's, half as wide inside as its feed-forward, with heads about as wide."""
        multiple = 4 if dims.d_model < 128 else 8
        inner = multiple * round(dims.d_ff / (2 * multiple))
        head = dims.d_model / dims.n_heads
        divisors = (count for count in range(1, inner + 1) if inner % count == 0)
        n_heads = min(divisors, key=lambda count: abs(math.log(inner / count / head)))
        return dims.model_copy(update={"n_layers": 2 * dims.n_layers, "d_ff": inner, "n_heads": n_heads})

    def problems(self, dims: ModelDims) -> list[str]:
        """Why `dims` cannot be built: heads must divide the inner width."""
        if dims.d_ff % dims.n_heads:
            return [f"d_ff {dims.d_ff}, the inner width, is not divisible by n_heads {dims.n_heads}; choose a divisor"]
        return []

    def _state(self, dims: ModelDims) -> int:
        """Features of the state at `dims`."""
        return self.d_state or min(dims.d_model, _LARGEST_STATE)
