"""The LSH attention against reformer-pytorch's and against dense attention; what its buckets depend on."""

import pytest

torch = pytest.importorskip("torch")

from reformer_pytorch.reformer_pytorch import LSHAttention as LibraryLSHAttention  # noqa: E402
from torch.nn import functional  # noqa: E402

from archbench.api import Attention, ModelDims  # noqa: E402
from archbench.nn import lsh_attention  # noqa: E402
from archbench.nn.lsh_attention import Buckets, LSHAttention, hash_buckets  # noqa: E402
from archbench_reformer.config import ReformerConfig  # noqa: E402

DIMS = ModelDims(vocab_size=40, seq_len=32, d_model=12, n_layers=2, n_heads=2, d_ff=24)


def _inputs(seq_len: int, rows: int = 6, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    draw = {"dtype": torch.float64, "requires_grad": True}
    return torch.randn(rows, seq_len, width, **draw), torch.randn(rows, seq_len, width, **draw)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("seq_len", "bucket_size", "n_hashes"), [(64, 8, 3), (64, 16, 4), (32, 16, 1)])
def test_outputs_and_gradients_equal_those_of_reformer_pytorch(
    seq_len: int, bucket_size: int, n_hashes: int, causal: bool
) -> None:
    settings = {"bucket_size": bucket_size, "n_hashes": n_hashes, "causal": causal}
    qk, values = _inputs(seq_len)
    weighting = torch.randn(6, seq_len, 8, dtype=torch.float64)
    theirs, _, buckets = LibraryLSHAttention(**settings)(qk, values)
    given = Buckets()
    given.ids = buckets.view(6, n_hashes, seq_len)
    ours = LSHAttention(**settings)(qk, values, given)
    # A lone position's score is -5e4, of which double precision resolves 1e-11.
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-9)
    gradients = [torch.autograd.grad((output * weighting).sum(), (qk, values)) for output in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=1e-9)


def test_buckets_are_those_of_reformer_pytorch_with_the_same_seed() -> None:
    qk = _inputs(64)[0].float()
    torch.manual_seed(1)
    theirs = LibraryLSHAttention(bucket_size=8, n_hashes=3).hash_vectors(8, qk)
    torch.manual_seed(1)
    ours = hash_buckets(qk, n_hashes=3, num_buckets=8)
    offsets = 8 * torch.arange(3)[:, None]  # reformer-pytorch numbers the buckets of all rounds together
    # Two products of fp32 may disagree about the largest of projections that nearly tie.
    torch.manual_seed(1)
    projected = torch.einsum("bte,erh->brth", qk, torch.randn(8, 3, 4)).abs().topk(2).values
    clear = (projected[..., 0] - projected[..., 1] > 1e-4).flatten(1)
    assert clear.float().mean() > 0.99
    assert torch.equal((ours + offsets).flatten(1)[clear], theirs[clear])


def test_two_buckets_of_half_the_context_are_dense_attention_with_shared_queries_and_keys() -> None:
    """With two chunks, each sees itself and the other: everything."""
    qk, values = _inputs(32)
    output = LSHAttention(bucket_size=16, n_hashes=1, causal=False)(qk, values)
    scores = qk @ functional.normalize(qk, dim=-1).transpose(1, 2) / 8**0.5
    scores = scores.masked_fill(torch.eye(32, dtype=torch.bool), -torch.inf)
    torch.testing.assert_close(output, scores.softmax(dim=-1) @ values)


def test_gradients_agree_with_finite_differences_where_buckets_stand_still() -> None:
    qk, values = _inputs(16, rows=2, width=4)
    attention = LSHAttention(bucket_size=4, n_hashes=2, causal=True)
    buckets = Buckets()
    attention(qk, values, buckets)

    def with_fixed_buckets(qk: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return attention(qk, values, buckets)

    assert torch.autograd.gradcheck(with_fixed_buckets, (qk, values))


def test_a_batch_in_pieces_gives_the_same_output_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    qk, values = _inputs(32)
    attention = LSHAttention(bucket_size=4, n_hashes=2, causal=True)
    results = []
    for scores_in_cache in (1, 4 * 2 * 32 * 8, 2**30):  # one of six rows at a time, four, all
        monkeypatch.setattr(lsh_attention, "_SCORES_IN_CACHE", scores_in_cache)
        torch.manual_seed(1)
        output = attention(qk, values)
        results.append((output, *torch.autograd.grad(output.pow(2).mean(), (qk, values))))
    for in_pieces in results[:-1]:
        torch.testing.assert_close(in_pieces, results[-1])


def test_given_buckets_are_used_again_and_no_random_number_is_drawn() -> None:
    qk, values = _inputs(32)
    attention = LSHAttention(bucket_size=4, n_hashes=2, causal=True)
    buckets = Buckets()
    first = attention(qk, values, buckets)
    before = torch.get_rng_state()
    again = attention(qk, values, buckets)
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_same_seed_gives_the_same_logits_and_another_seed_others(mode: str) -> None:
    model = ReformerConfig(bucket_size=4).build(DIMS, Attention.CAUSAL).double()
    getattr(model, mode)()
    tokens = torch.randint(40, (2, 32))
    logits = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        logits.append(model(tokens))
    assert torch.equal(logits[0], logits[1])
    assert (logits[0] - logits[2]).abs().max() > 1e-6


def test_values_are_causal_by_gradient_though_buckets_are_not() -> None:
    """A later token moves earlier logits by moving the sort order; no gradient flows along that way."""
    torch.manual_seed(0)
    model = ReformerConfig(bucket_size=4, n_hashes=2).build(DIMS, Attention.CAUSAL).double().eval()
    embeddings: list[torch.Tensor] = []
    model.position_embedding.register_forward_hook(lambda module, inputs, output: embeddings.append(output))
    tokens = torch.randint(40, (1, 32))
    hidden = model.encode(tokens).hidden
    for position in (0, 5, 17, 30):
        (gradient,) = torch.autograd.grad(hidden[0, position].pow(3).sum(), embeddings[0], retain_graph=True)
        assert gradient[position].abs().sum() > 0
        assert (gradient[position + 1 :] == 0).all()

    def earlier(last: int) -> torch.Tensor:
        changed = tokens.clone()
        changed[0, -1] = last
        torch.manual_seed(3)
        return model.encode(changed).hidden[0, :-1].detach()

    # Far above the rounding of doubles: another order of the sum is no other bucket.
    assert any(not torch.allclose(earlier(0), earlier(last), rtol=1e-9, atol=1e-9) for last in range(1, 40))
