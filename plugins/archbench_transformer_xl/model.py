"""Transformer-XL as a language model: x-transformers' trunk and memory with the attention of Dai et al. 2019."""

import math

from torch import Tensor, nn
from x_transformers import Decoder, TransformerWrapper
from x_transformers.attend import Intermediates

from archbench.api import BuiltWith, ModelDims
from archbench.nn.initial_weights import draw_normal
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.output import Output
from archbench.nn.relative_attention import RelativeAttention, RelativeSinusoids


class ScaledEmbedding(nn.Embedding):
    """Token embeddings times √d_model, as in the authors' code, so that a tied output matrix can start small."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings [rows, seq_len, d_model] of `tokens` [rows, seq_len]."""
        return super().forward(tokens) * math.sqrt(self.embedding_dim)


class _AttentionLayer(RelativeAttention):
    """Relative attention, called as x-transformers calls its attention layers."""

    def forward(  # type: ignore[override]  # called by x-transformers alone
        self, x: Tensor, *, rel_pos: RelativeSinusoids, mem: Tensor | None = None, **_unused: object
    ) -> tuple[Tensor, Intermediates]:
        """`_unused` takes the arguments of x-transformers' own attention, none of which is set here."""
        return super().forward(x, rel_pos, mem), Intermediates()


class TransformerXL(LanguageModel):
    """Post-norm layers that attend to the segment and to a memory: the hidden states of the segments before it.

    All matrices and the biases u and v start from one normal distribution, as in the authors' code.
    """

    def __init__(self, dims: ModelDims, built: BuiltWith, mem_len: int) -> None:
        super().__init__()
        self.trunk = TransformerWrapper(
            num_tokens=dims.vocab_size,
            max_seq_len=dims.seq_len,
            max_mem_len=mem_len,
            token_emb=ScaledEmbedding(dims.vocab_size, dims.d_model),
            use_abs_pos_emb=False,
            return_only_embed=True,
            attn_layers=_decoder(dims, mem_len),
        )
        self.output = Output(dims.d_model, dims.vocab_size, tied=built.tie_output, bias=built.output_bias)
        draw_normal(self, built.initial_std)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """Hidden states of a segment, and the memory for the next one: the inputs of each layer, [rows, mem_len, D].

        Without a `state` the segment sees itself only; the memory grows until it holds `mem_len` positions.
        """
        memory = None if state is None else list(state)
        hidden, new_memory = self.trunk(tokens, mems=memory, return_mems=True)
        return Encoded(hidden=hidden, state=tuple(new_memory))

    def output_weights(self) -> Projection:
        """See `LanguageModel.output_weights`."""
        return self.output.weights(self.trunk.token_emb)


def _decoder(dims: ModelDims, mem_len: int) -> Decoder:
    """x-transformers' post-norm decoder, its attention layers replaced by those of Dai et al."""
    decoder = Decoder(
        dim=dims.d_model,
        depth=dims.n_layers,
        heads=dims.n_heads,
        pre_norm=False,
        attn_dim_head=1,  # these layers are thrown away
        ff_mult=(dims.d_ff + 0.5) / dims.d_model,  # truncated to d_ff by x-transformers, whatever the rounding
        ff_custom_activation=nn.ReLU(),
    )
    for layer_type, layer in zip(decoder.layer_types, decoder.layers, strict=True):
        if layer_type == "a":
            layer[1] = _AttentionLayer(dims.d_model, dims.n_heads)
    decoder.rel_pos = RelativeSinusoids(dims.d_model, max_keys=dims.seq_len + mem_len)
    return decoder
