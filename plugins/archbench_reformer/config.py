"""Reformer's hyperparameters, size and cost. Importing this loads no torch."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from archbench.api import ArchitectureConfig, Attention, ForwardFlops, ModelDims, ParamCount, Source, nearest_dims

if TYPE_CHECKING:
    from archbench.nn.language_model import LanguageModel


class ReformerConfig(ArchitectureConfig):
    """Attention within buckets of a locality-sensitive hash, and layers whose activations are recomputed."""

    kind: Literal["reformer"] = "reformer"
    bucket_size: PositiveInt = 32
    """Positions of a chunk, which attends to itself and to the chunk before it; also the mean size of a bucket."""
    n_hashes: PositiveInt = 4
    """Rounds of hashing, whose outputs are mixed."""
    ff_chunks: PositiveInt = 1
    """Pieces of the sequence that the feed-forward layer takes one after another: saves memory, changes no result."""

    summary: ClassVar[str] = "LSH attention and reversible layers (Kitaev et al. 2020)"
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
        """Reformer with fresh weights; each forward pass draws its hash rotations from torch's global generator.

        Raises ValueError where `problems(dims)` finds one.
        """
        from archbench_reformer.model import Reformer

        problems = self.problems(dims)
        if problems:
            raise ValueError("; ".join(problems))
        return Reformer(
            dims,
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
            embedding=(2 * dims.vocab_size + dims.seq_len) * width + dims.vocab_size,
            non_embedding=dims.n_layers * (attention + feed_forward + norms) + 2 * width,
        )

    def forward_flops_per_token(self, dims: ModelDims, attention: Attention) -> ForwardFlops:
        """Cost by component; reversible layers repeat all but the hashing, whose buckets they keep."""
        width, layers = dims.d_model, dims.n_layers
        num_buckets = dims.seq_len // self.bucket_size
        keys = 2 * self.bucket_size
        return ForwardFlops(
            components={
                "attention_projections": 6.0 * layers * width**2,
                "hashing": 1.0 * layers * width * self.n_hashes * num_buckets,
                "lsh_attention": 4.0 * layers * width * self.n_hashes * keys,
                "feed_forward": 4.0 * layers * width * dims.d_ff,
                "logits": 2.0 * width * dims.vocab_size,
            },
            recomputed=frozenset({"attention_projections", "lsh_attention", "feed_forward"}),
            forward_only=frozenset({"hashing"}),
            uncounted={
                "sorting": "positions by bucket, in each layer, head and round: O(seq_len·log seq_len) comparisons",
                "gathering": "queries, keys, values and outputs into and out of that order:"
                f" about {4 * self.n_hashes} × d_model numbers moved per token and layer",
            },
        )

    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """The nearest rung of the shared ladder. The context's own constraint is `problems`' to tell."""
        return nearest_dims(
            target_params,
            lambda dims: self.num_params(dims).non_embedding,
            vocab_size=vocab_size,
            seq_len=seq_len,
        )

    def problems(self, dims: ModelDims) -> list[str]:
        """Also: the context must be divisible by twice the bucket size, since buckets come in opposite pairs."""
        block = 2 * self.bucket_size
        found = super().problems(dims)
        if dims.seq_len % block:
            below, above = dims.seq_len // block * block, -(-dims.seq_len // block) * block
            lengths = " or ".join(str(length) for length in (below, above) if length)
            found.append(
                f"seq_len {dims.seq_len} is not divisible by twice bucket_size {self.bucket_size} ({block});"
                f" use seq_len {lengths}, or another bucket_size"
            )
        return found
