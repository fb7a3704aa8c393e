"""The memory that Transformer-XL carries from segment to segment."""

import pytest

torch = pytest.importorskip("torch")

from archbench.api import Attention, ModelDims  # noqa: E402
from archbench_transformer_xl.config import TransformerXLConfig  # noqa: E402

DIMS = ModelDims(vocab_size=30, seq_len=6, d_model=12, n_layers=3, n_heads=2, d_ff=20)


def _model(seq_len: int = 6, mem_len: int | None = None) -> torch.nn.Module:
    torch.manual_seed(0)
    dims = DIMS.model_copy(update={"seq_len": seq_len})
    return TransformerXLConfig(mem_len=mem_len).build(dims, Attention.CAUSAL).double()


def test_two_segments_with_memory_equal_one_pass_over_both() -> None:
    """The first segment is all there is before the second, so the memory holds everything a single pass sees."""
    model, whole = _model(), _model(seq_len=12)
    tokens = torch.randint(30, (2, 12))
    first = model.encode(tokens[:, :6])
    second = model.encode(tokens[:, 6:], state=first.state)
    torch.testing.assert_close(torch.cat([first.hidden, second.hidden], dim=1), whole.encode(tokens).hidden)


def test_memory_shorter_than_the_segment_keeps_its_last_positions() -> None:
    model, longer = _model(mem_len=4), _model(mem_len=6)
    tokens = torch.randint(30, (2, 6))
    for short, full in zip(model.encode(tokens).state, longer.encode(tokens).state, strict=True):
        # Two models: what a layer holds is the same but for the rounding of sums of doubles.
        torch.testing.assert_close(short, full[:, -4:], rtol=1e-10, atol=1e-12)


def test_memory_longer_than_the_segment_fills_over_several_segments() -> None:
    model = _model(mem_len=15)
    state, lengths = None, []
    for _ in range(4):
        state = model.encode(torch.randint(30, (2, 6)), state=state).state
        lengths.append(state[0].shape[1])
    assert lengths == [6, 12, 15, 15]


def test_memory_has_rows_first_one_tensor_a_layer_and_no_gradient() -> None:
    model = _model()
    state = model.encode(torch.randint(30, (5, 6))).state
    assert [tuple(memory.shape) for memory in state] == [(5, 6, 12)] * DIMS.n_layers
    assert not any(memory.requires_grad for memory in state)


def test_the_second_segment_depends_on_the_first_through_memory_only() -> None:
    model = _model()
    tokens, before = torch.randint(30, (2, 6)), torch.randint(30, (2, 6))
    alone = model.encode(tokens).hidden
    with_memory = model.encode(tokens, state=model.encode(before).state).hidden
    assert (alone - with_memory).abs().max() > 1e-4
    assert torch.equal(alone, model.encode(tokens).hidden)  # nothing stays behind on the module


def test_rows_do_not_see_each_others_memory() -> None:
    model = _model()
    tokens = torch.randint(30, (2, 6))
    state = model.encode(torch.randint(30, (2, 6))).state
    changed = tuple(torch.cat([memory[:1], memory[1:] + 1.0]) for memory in state)
    before, after = model.encode(tokens, state=state).hidden, model.encode(tokens, state=changed).hidden
    # Other values beside a row may at most change how its doubles are rounded; its own memory changes much more.
    torch.testing.assert_close(after[0], before[0], rtol=1e-10, atol=1e-12)
    assert (before[1] - after[1]).abs().max() > 1e-4


def test_causal_by_gradient_with_a_memory_before_it() -> None:
    model = _model()
    state = model.encode(torch.randint(30, (1, 6))).state
    embeddings: list[torch.Tensor] = []
    model.trunk.token_emb.register_forward_hook(lambda module, inputs, output: embeddings.append(output))
    hidden = model.encode(torch.randint(30, (1, 6)), state=state).hidden
    for position in range(6):
        (gradient,) = torch.autograd.grad(hidden[0, position].pow(3).sum(), embeddings[0], retain_graph=True)
        reached = gradient[0].abs().sum(dim=-1) > 0
        assert reached.tolist() == [True] * (position + 1) + [False] * (5 - position)
