"""A decoder or encoder of x-transformers with any of its keywords. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from archbench.api import (
    Attention,
    KeepsCommonSettings,
    LadderConfig,
    ModelDims,
    Source,
    answer,
    with_even_heads,
    with_gated_feed_forward,
)

if TYPE_CHECKING:
    from archbench_x_transformers.model import XTransformersModel


class XTransformersConfig(KeepsCommonSettings, LadderConfig):
    """`TransformerWrapper` around a `Decoder` or an `Encoder`: width, depth and heads from the ladder, all else as set.

    Parameters and FLOPs are counted. A gated feed-forward layer is two thirds as wide, so that it has the parameters of
    a plain one; `ff_mult` and `attn_dim_head` in the keywords take the place of the ladder's.
    """

    kind: Literal["x_transformers"] = "x_transformers"
    added_later = KeepsCommonSettings.added_later | {"wrapper"}

    decoder: dict[str, JsonValue] | None = None
    """Keywords of `Decoder`, with `attn_` and `ff_` before those of its attention and feed-forward layers."""
    encoder: dict[str, JsonValue] | None = None
    """The same of `Encoder`, in its place."""
    wrapper: dict[str, JsonValue] = Field(default={})
    """Keywords of `TransformerWrapper`, such as `max_mem_len`, which carries a memory from segment to segment."""

    libraries: ClassVar[tuple[str, ...]] = ("x-transformers",)
    summary: ClassVar[str] = "a decoder or encoder of x-transformers with any of its keywords"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL, Attention.BIDIRECTIONAL})
    published_tie_output: ClassVar[bool] = False
    published_output_bias: ClassVar[bool] = False
    source: ClassVar[Source] = Source(
        paper="as x-transformers states beside each keyword",
        implementation="x-transformers, TransformerWrapper, Decoder and Encoder",
        faithful="the library's layers under the keywords that are set",
        differs="sizes come from archbench's ladder; matrices and embeddings start normal with 0.02 where"
        " `initialisation` asks for it, else as the library starts them",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.decoder is None) == (self.encoder is None):
            raise ValueError("expected one of decoder and encoder, each a mapping of keywords; {} for none")
        return self

    @property
    def carries_state(self) -> bool:  # type: ignore[override]  # hangs on the settings
        """Whether a memory crosses segments."""
        return bool(self.wrapper.get("max_mem_len"))

    @property
    def section(self) -> str:
        """Which of both is set."""
        return "decoder" if self.decoder is not None else "encoder"

    @property
    def keywords(self) -> dict[str, JsonValue]:
        """Those of the layers."""
        return self.decoder if self.decoder is not None else self.encoder or {}

    @property
    def attention(self) -> Attention:
        """What the layers see."""
        return Attention.CAUSAL if self.decoder is not None else Attention.BIDIRECTIONAL

    def unsupported(self, attention: Attention) -> str | None:
        """See `ArchitectureConfig.unsupported`: what the library says of the keywords, and a small model of them."""
        if problem := super().unsupported(attention):
            return problem
        if attention is not self.attention:
            other = "encoder" if self.decoder is not None else "decoder"
            return f"its layers attend {self.attention}, the objective needs {attention}; write {other}: {{...}}"
        try:
            answer("archbench_x_transformers.trial:trial", self)
        except ValueError as error:
            return str(error)
        return None

    def build(self, dims: ModelDims, attention: Attention) -> "XTransformersModel":
        """See `ArchitectureConfig.build`."""
        from archbench_x_transformers.model import XTransformersModel

        if attention is not self.attention:
            raise ValueError(str(self.unsupported(attention)))
        if problems := self.problems(dims):
            raise ValueError("; ".join(problems))
        return XTransformersModel(
            dims,
            self.built_with(dims),
            section=self.section,
            keywords=self.keywords,
            wrapper=self.wrapper,
            by_width=self.initialisation == "by_width",
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """See `LadderConfig.adapted`."""
        if self.keywords.get("rotary_pos_emb"):
            dims = with_even_heads(dims)
        return with_gated_feed_forward(dims) if self.keywords.get("ff_glu") else dims
