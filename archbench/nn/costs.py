"""What the blocks of this package cost, and which contexts they take: plain arithmetic, without torch.

FLOPs are those of matrix products, forward, for one token and one layer; a multiply-add counts as two.
"""


def lsh_flops(*, d_model: int, seq_len: int, bucket_size: int, n_hashes: int) -> tuple[float, float]:
    """FLOPs of the hashing, which has no gradient, and of the attention in chunks, of `LSHAttention`."""
    num_buckets = seq_len // bucket_size
    keys = 2 * bucket_size
    return 1.0 * d_model * n_hashes * num_buckets, 4.0 * d_model * n_hashes * keys


def lsh_problems(seq_len: int, bucket_size: int) -> list[str]:
    """Why `LSHAttention` does not take a context, in one line with the remedy; empty if it does.

    The context must be divisible by twice the bucket size, since buckets come in opposite pairs.
    """
    block = 2 * bucket_size
    if seq_len % block == 0:
        return []
    below, above = seq_len // block * block, -(-seq_len // block) * block
    lengths = " or ".join(str(length) for length in (below, above) if length)
    return [
        f"seq_len {seq_len} is not divisible by twice bucket_size {bucket_size} ({block});"
        f" use seq_len {lengths}, or another bucket_size"
    ]


def window_flops(*, d_model: int, seq_len: int, window: int) -> float:
    """FLOPs of the scores and mixed values of `WindowAttention`: chunks of a window see two windows of keys."""
    if seq_len <= window:
        return 4.0 * d_model * seq_len
    num_chunks = -(-seq_len // window)
    return 4.0 * d_model * 2 * window * (num_chunks * window / seq_len)


def recurrence_flops(*, seq_len: int, chunk_size: int, num_heads: int, key_width: int, value_width: int) -> float:
    """FLOPs of `chunked_recurrence`."""
    inside, across = chunk_shares(seq_len=seq_len, chunk_size=chunk_size)
    in_chunks = 2.0 * chunk_size * (key_width + value_width) * inside
    return num_heads * (in_chunks + 4.0 * key_width * value_width * across)


def chunk_shares(*, seq_len: int, chunk_size: int) -> tuple[float, float]:
    """Positions that are computed in chunks, and those with a chunk after them, both over `seq_len`.

    The first is above 1 where the last chunk is filled up; the second is 0 where there is one chunk only.
    """
    num_chunks = -(-seq_len // chunk_size)
    return num_chunks * chunk_size / seq_len, (num_chunks - 1) * chunk_size / seq_len


def relative_attention_flops(*, d_model: int, seq_len: int, mem_len: int) -> dict[str, float]:
    """FLOPs of `RelativeAttention` by component, its projections included, with a full memory.

    What is left out is the projection of the distances, once for all rows: `position_projection_flops`.
    """
    keys = seq_len + mem_len
    return {
        "queries": 2.0 * d_model**2,
        # The memory holds layer inputs: its keys and values are projected again for each segment.
        "keys_values": 4.0 * d_model**2 * keys / seq_len,
        "content_attention": 4.0 * d_model * keys,
        "position_attention": 2.0 * d_model * (keys + 1),
        "attention_output": 2.0 * d_model**2,
    }


def position_projection(*, d_model: int, n_layers: int, seq_len: int, mem_len: int) -> str:
    """The work of `RelativeAttention` that does not grow with the rows, in words."""
    flops = 2 * n_layers * d_model**2 * (seq_len + mem_len + 1)
    return (
        "projects the sinusoids of all distances once per step, whatever the rows:"
        f" {flops:,} FLOPs forward and as many backward, a share of"
        " 1/rows of the cost of one row; 32 rows: below half a per cent"
    )


def sorting_and_gathering(n_hashes: int) -> dict[str, str]:
    """The work of `LSHAttention` that torch's counter cannot see, in words."""
    return {
        "sorting": "positions by bucket, in each layer, head and round: O(seq_len·log seq_len) comparisons",
        "gathering": "queries, keys, values and outputs into and out of that order:"
        f" about {4 * n_hashes} × d_model numbers moved per token and layer",
    }
