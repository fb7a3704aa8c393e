"""Reformer's hyperparameters, size and cost. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from archbench.api import Attention, ForwardFlops, KeepsCommonSettings, LadderConfig, ModelDims, ParamCount, Source
from archbench.nn.costs import lsh_flops, lsh_problems, sorting_and_gathering

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class ReformerConfig(KeepsCommonSettings, LadderConfig):
    """Attention within buckets of a locality-sensitive hash, and layers whose activations are recomputed."""

    kind: Literal["reformer"] = "reformer"
    bucket_size: PositiveInt = 32
    """Positions of a chunk, which attends to itself and to the chunk before it; also the mean size of a bucket."""
    n_hashes: PositiveInt = 4
    """Rounds of hashing, whose outputs are mixed."""
    ff_chunks: PositiveInt = 1
    """Pieces of the sequence that the feed-forward layer takes one after another: saves memory, changes no result."""

    libraries: ClassVar[tuple[str, ...]] = ("reformer-pytorch",)
    summary: ClassVar[str] = "LSH attention and reversible layers (Kitaev et al. 2020)"
    published_tie_output: ClassVar[bool] = False
    published_output_bias: ClassVar[bool] = True
    source: ClassVar[Source] = Source(
        paper="Kitaev et al. 2020, Reformer: The Efficient Transformer, arXiv 2001.04451",
        implementation="reformer-pytorch (shared-QK projections, feed-forward, norms) with an LSH attention of our own,"
        " equal to reformer-pytorch's in outputs and gradients but faster, and its own reversible sequence",
        faithful="shared queries and keys, keys of unit length, angular hashing in rounds, chunks that attend to"
        " themselves and one back, no attention to itself where there is another; reversible layers; pre-norm; untied"
        " output matrix",
        differs="initial standard deviation 0.02 in place of Glorot's; learned instead of axial position embeddings;"
        " streams averaged instead of concatenated; a pair that meets in several hash rounds counts once in each"
        " (reformer-pytorch's default); no dropout",
    )
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL, Attention.BIDIRECTIONAL})

    def build(self, dims: ModelDims, attention: Attention) -> "LanguageModel":
        """Reformer with fresh weights; each forward pass draws its hash rotations from torch's global generator."""
        from archbench_reformer.model import Reformer

        self.require_buildable(dims, attention)
        return Reformer(
            dims,
            self.built_with(dims),
            causal=attention is Attention.CAUSAL,
            bucket_size=self.bucket_size,
            n_hashes=self.n_hashes,
            ff_chunks=self.ff_chunks,
        )

    def num_params(self, dims: ModelDims) -> ParamCount:
        """Exact counts; rotations are drawn anew, not learned."""
        width, inner = dims.d_model, dims.d_ff
        attention = 3 * width**2 + width  # shared queries and keys, values, output with bias
        feed_forward = 2 * width * inner + inner + width
        norms = 4 * width
        return ParamCount(
            embedding=(dims.vocab_size + dims.seq_len) * width + self.output_params(dims),
            non_embedding=dims.n_layers * (attention + feed_forward + norms) + 2 * width,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """Cost by component; reversible layers repeat all but the hashing, whose buckets they keep."""
        width, layers = dims.d_model, dims.n_layers
        hashing, attention_in_chunks = lsh_flops(
            d_model=width, seq_len=dims.seq_len, bucket_size=self.bucket_size, n_hashes=self.n_hashes
        )
        return ForwardFlops(
            components={
                "attention_projections": 6.0 * layers * width**2,
                "hashing": layers * hashing,
                "lsh_attention": layers * attention_in_chunks,
                "feed_forward": 4.0 * layers * width * dims.d_ff,
                "logits": 2.0 * width * dims.vocab_size,
            },
            recomputed=frozenset({"attention_projections", "lsh_attention", "feed_forward"}),
            forward_only=frozenset({"hashing"}),
            uncounted=sorting_and_gathering(self.n_hashes),
        )

    def on_ladder(self, dims: ModelDims) -> bool:
        """Any rung; the context's constraint is `problems`' to tell."""
        return True

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: the context must be divisible by twice the bucket size, since buckets come in opposite pairs."""
        return super().problems(dims) + lsh_problems(dims.seq_len, self.bucket_size)
