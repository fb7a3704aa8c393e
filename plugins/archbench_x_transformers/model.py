"""A decoder or encoder of x-transformers as an archbench language model. Imports torch and x_transformers."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from x_transformers import Decoder, Encoder, TransformerWrapper

from archbench.api import BuiltWith, ModelDims
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.output import Output
from archbench_x_transformers.keywords import check_keywords, layer_keywords


class XTransformersModel(LanguageModel):
    """The library's wrapper without its output matrix, and an output as of archbench's other models."""

    def __init__(
        self,
        dims: ModelDims,
        built: BuiltWith,
        *,
        section: str,
        keywords: Mapping[str, Any],
        wrapper: Mapping[str, Any],
        by_width: bool,
    ) -> None:
        """section: `decoder` or `encoder`, whose layers have `keywords`."""
        super().__init__()
        check_keywords(section, keywords, wrapper)
        layers = {"decoder": Decoder, "encoder": Encoder}[section]
        self.trunk = TransformerWrapper(
            num_tokens=dims.vocab_size,
            max_seq_len=dims.seq_len,
            return_only_embed=True,
            attn_layers=layers(**layer_keywords(keywords, dims)),
            **wrapper,
        )
        self.carries_state = bool(wrapper.get("max_mem_len"))
        width = self.trunk.token_emb.emb.embedding_dim if built.tie_output else dims.d_model
        self.output = Output(width, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        if by_width:
            draw_normal(self, built.initial_std)
        else:
            self.output.initialise(built.initial_std)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored, and a memory is carried where `max_mem_len` says so."""
        if not self.carries_state:
            hidden: Tensor = self.trunk(tokens)
            return Encoded(hidden, None)
        memory: Any = None if state is None else list(state)
        hidden, kept = self.trunk(tokens, mems=memory, return_mems=True)
        return Encoded(hidden, tuple(kept))

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.trunk.token_emb.emb)
