"""One backbone, and what can be changed in it one thing at a time: sizes and costs. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.api import Attention, ForwardFlops, ModelDims, ParamCount, Source, layer_norm_params
from archbench_controlled.costs import Mixing, mixing
from archbench_controlled.settings import ControlledSettings

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class ControlledConfig(ControlledSettings):
    """GPT-2's network by default; every setting changes one thing, and leaves the rest of the backbone as it is."""

    kind: Literal["controlled"] = "controlled"

    summary: ClassVar[str] = "one backbone (GPT-2's) in which the mixing mechanism or one other thing is changed"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL})
    published_tie_output: ClassVar[bool] = True
    published_output_bias: ClassVar[bool] = False
    family: ClassVar[str | None] = "controlled"
    source: ClassVar[Source] = Source(
        paper="Radford et al. 2019 (backbone); Vaswani et al. 2017 (softmax), Beltagy et al. 2020 (local_window),"
        " Kitaev et al. 2020 (shared_qk, lsh, reversible), Dai et al. 2019 (recurrence_memory), Katharopoulos et al."
        " 2020 (linear), Yang et al. 2024 and Dao and Gu 2024 (gated_linear), Su et al. 2021"
        " (rotary), Shazeer 2020 (swiglu), Zhang and Sennrich 2019 (rms)",
        implementation="archbench's own torch code: archbench.nn.mixers and the blocks beside it",
        faithful="by default GPT-2's network, weight for weight; each mixer by the equations of its paper",
        differs="mixers stand in GPT-2's backbone and not in that of their papers: no short convolutions, output gates,"
        " axial positions or adaptive softmax. gated_linear has one decay a head and a norm without scale;"
        " recurrence_memory has no biases in its projections. No dropout",
    )

    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """See `ArchitectureConfig.build`."""
        from archbench_controlled.model import Controlled

        self.require_buildable(dims, attention)
        return Controlled(self, dims)

    def num_params(self, dims: ModelDims) -> ParamCount:
        """See `ArchitectureConfig.num_params`."""
        width, inner = dims.d_model, dims.d_ff
        if self.activation == "swiglu":
            feed_forward = 3 * width * inner + 2 * inner + width
        else:
            feed_forward = 2 * width * inner + inner + width
        norm = width if self.norm_kind == "rms" else layer_norm_params(width)
        layer = self._mixing(dims).num_params + feed_forward + 2 * norm
        tables = dims.vocab_size + (dims.seq_len if self.positions == "learned" else 0)
        return ParamCount(
            embedding=tables * width + self.output_params(dims),
            non_embedding=dims.n_layers * layer + (norm if self.norm == "pre" else 0),
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """See `ArchitectureConfig.forward_flops_per_token`; reversible layers repeat all but the hashing."""
        mixing_flops = self._mixing(dims).flops
        matrices = 3 if self.activation == "swiglu" else 2
        layer = {**mixing_flops, "feed_forward": 2.0 * matrices * dims.d_model * dims.d_ff}
        hashing = frozenset({"hashing"} & layer.keys())
        return ForwardFlops(
            components={
                **{name: dims.n_layers * flops for name, flops in layer.items()},
                "logits": 2.0 * dims.d_model * dims.vocab_size,
            },
            recomputed=frozenset(layer) - hashing if self.residual == "reversible" else frozenset(),
            forward_only=hashing,
            uncounted=self._mixing(dims).uncounted,
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """The rung with the width of the inner layer that this activation has there."""
        if self.activation != "swiglu":
            return dims
        return dims.model_copy(update={"d_ff": max(1, round(dims.d_ff * 2 / 3))})

    def on_ladder(self, dims: ModelDims) -> bool:
        """Any rung; what a context must be divisible by is `problems`' to tell."""
        return True

    def problems(self, dims: ModelDims) -> list[str]:
        """Also what the mixer asks of the shape."""
        return super().problems(dims) + list(self._mixing(dims).problems)

    def _mixing(self, dims: ModelDims) -> Mixing:
        return mixing(self, dims)
