"""The relative attention against its formula and against transformers' XLNet."""

import pytest

torch = pytest.importorskip("torch")

from transformers import XLNetConfig, XLNetModel  # noqa: E402

from archbench.api import Attention, ModelDims  # noqa: E402
from archbench.nn import relative_attention  # noqa: E402
from archbench.nn.relative_attention import (  # noqa: E402
    RelativeAttention,
    RelativeSinusoids,
    relative_shift,
)
from archbench_transformer_xl.config import TransformerXLConfig  # noqa: E402
from archbench_transformer_xl.model import TransformerXL  # noqa: E402

DIMS = ModelDims(vocab_size=30, seq_len=7, d_model=12, n_layers=2, n_heads=3, d_ff=20)
MEM_LEN = 5


def transformer_xl() -> TransformerXL:
    torch.manual_seed(0)
    model = TransformerXLConfig(mem_len=MEM_LEN).build(DIMS, Attention.CAUSAL)
    assert isinstance(model, TransformerXL)
    return model


def test_relative_shift_puts_each_distance_at_its_key() -> None:
    num_queries, num_keys = 3, 5
    distances = torch.arange(num_keys, -1, -1).expand(1, num_queries, -1).contiguous()
    shifted = relative_shift(distances)[0]
    for query in range(num_queries):
        place = num_keys - num_queries + query
        assert shifted[query, : place + 1].tolist() == list(range(place, -1, -1))


def test_attention_equals_the_formula_of_the_paper_term_by_term() -> None:
    torch.manual_seed(0)
    attention = RelativeAttention(d_model=8, n_heads=2).double()
    torch.nn.init.normal_(attention.content_bias)
    torch.nn.init.normal_(attention.position_bias)
    sinusoids = RelativeSinusoids(8, max_keys=7).double()
    memory, segment = torch.randn(1, 3, 8).double(), torch.randn(1, 4, 8).double()
    output = attention(segment, sinusoids, memory)

    context = torch.cat([memory, segment], dim=1)[0]
    keys, values = attention.to_keys_values(context).chunk(2, dim=-1)
    expected = torch.zeros(4, 8, dtype=torch.float64)
    for i in range(4):
        query = attention.to_queries(segment[0, i])
        for head in range(2):
            at = slice(4 * head, 4 * head + 4)
            scores = []
            for j in range(3 + i + 1):
                position = attention.to_positions(sinusoids.table[7 - (3 + i - j)])
                content = (query[at] + attention.content_bias[head]) @ keys[j, at]
                scores.append((content + (query[at] + attention.position_bias[head]) @ position[at]) / 2.0)
            expected[i, at] = torch.stack(scores).softmax(dim=0) @ values[: len(scores), at]
    torch.testing.assert_close(output[0], attention.to_out(expected))


@pytest.mark.parametrize("memory", [0, 3])
def test_gradients_are_those_of_finite_differences(memory: int) -> None:
    torch.manual_seed(0)
    attention = RelativeAttention(d_model=6, n_heads=2).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    sinusoids = RelativeSinusoids(6, max_keys=8).double()
    x, before = (torch.randn(2, length, 6, dtype=torch.float64, requires_grad=True) for length in (4, memory))
    parameters = tuple(parameter.detach().clone().requires_grad_() for parameter in attention.parameters())
    names = [name for name, _ in attention.named_parameters()]

    def output(x: torch.Tensor, before: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        weights = dict(zip(names, parameters, strict=True))
        return torch.func.functional_call(attention, weights, (x, sinusoids, before if memory else None))

    given = (x, before if memory else before.detach())
    assert torch.autograd.gradcheck(output, (*given, *parameters))


def test_later_positions_have_no_influence_at_all() -> None:
    torch.manual_seed(0)
    attention = RelativeAttention(d_model=8, n_heads=2)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 9, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(attention(x, RelativeSinusoids(8, max_keys=9))[:, :4].sum(), x)
    assert not gradient[:, 4:].any()
    assert gradient[:, :4].any()


def test_parameters_may_be_cast_without_the_buffers() -> None:
    """DeepSpeed casts a model's parameters to bfloat16 and leaves its buffers alone."""
    model = transformer_xl()
    tokens = torch.randint(DIMS.vocab_size, (2, DIMS.seq_len))
    expected = model(tokens)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    assert model.trunk.attn_layers.rel_pos.table.dtype == torch.float32
    # Eight bits of a bfloat16 in logits of the order of 0.1.
    torch.testing.assert_close(model(tokens).float(), expected, atol=0.02, rtol=0.0)


def test_a_batch_in_pieces_gives_the_same_output_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    model = transformer_xl().double()
    tokens = torch.randint(DIMS.vocab_size, (5, DIMS.seq_len))
    results = []
    for scores_in_cache in (1, 2 * DIMS.n_heads * DIMS.seq_len**2, 2**30):  # one row at a time, two, all
        monkeypatch.setattr(relative_attention, "_SCORES_IN_CACHE", scores_in_cache)
        logits = model(tokens)
        results.append((logits, *torch.autograd.grad(logits.pow(2).mean(), list(model.parameters()))))
    for in_pieces in results[:-1]:
        torch.testing.assert_close(in_pieces, results[-1])


def test_too_many_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        RelativeSinusoids(8, max_keys=4)(5)


def _norm_weight(norm: torch.nn.Module) -> torch.Tensor:
    """x-transformers stores the weight of a norm as its difference from one."""
    return norm.gamma + float(norm.unit_offset)


def _xlnet_like(model: TransformerXL) -> XLNetModel:
    """XLNet of the same shape with the weights of `model`: the same computation by another implementation."""
    xlnet = XLNetModel(
        XLNetConfig(
            vocab_size=DIMS.vocab_size,
            d_model=DIMS.d_model,
            n_layer=DIMS.n_layers,
            n_head=DIMS.n_heads,
            d_inner=DIMS.d_ff,
            ff_activation="relu",
            attn_type="uni",
            layer_norm_eps=1e-5,
            dropout=0.0,
            mem_len=MEM_LEN,
            use_mems_eval=True,
        )
    ).eval()
    layers = model.trunk.attn_layers.layers
    with torch.no_grad():
        for index, layer in enumerate(xlnet.layer):
            (attention_norms, attention, _), (feed_norms, feed_forward, _) = layers[2 * index], layers[2 * index + 1]
            keys, values = attention.to_keys_values.weight.chunk(2)
            theirs = layer.rel_attn
            by_head = (DIMS.d_model, DIMS.n_heads, DIMS.d_model // DIMS.n_heads)
            for name, weight in (
                ("q", attention.to_queries.weight),
                ("k", keys),
                ("v", values),
                ("r", attention.to_positions.weight),
            ):
                getattr(theirs, name).copy_(weight.T.reshape(by_head))
            theirs.o.copy_(attention.to_out.weight.reshape(by_head))
            theirs.r_w_bias.copy_(attention.content_bias)
            theirs.r_r_bias.copy_(attention.position_bias)
            theirs.layer_norm.weight.copy_(_norm_weight(attention_norms[2]))
            layer.ff.layer_1.load_state_dict(feed_forward.ff[0][0].state_dict())
            layer.ff.layer_2.load_state_dict(feed_forward.ff[2].state_dict())
            layer.ff.layer_norm.weight.copy_(_norm_weight(feed_norms[2]))
    return xlnet


def test_outputs_equal_xlnet_with_the_same_weights_without_and_with_memory() -> None:
    model = transformer_xl().eval()
    with torch.no_grad():  # large enough that every term matters
        for parameter in model.parameters():
            parameter.mul_(10.0 if parameter.ndim == 2 else 1.0).add_(0.1 * torch.randn_like(parameter))
        model.trunk.attn_layers.layers[1][1].ff[0][0].bias.normal_()
    xlnet = _xlnet_like(model)

    state, mems = None, None
    for _segment in range(3):
        tokens = torch.randint(DIMS.vocab_size, (2, DIMS.seq_len))
        with torch.no_grad():
            encoded = model.encode(tokens, state=state)
            theirs = xlnet(inputs_embeds=model.trunk.token_emb(tokens), mems=mems)
        # 1e-5: single precision, sums in another order
        torch.testing.assert_close(encoded.hidden, theirs.last_hidden_state, atol=1e-5, rtol=1e-5)
        state, mems = encoded.state, theirs.mems
        assert state is not None
        for ours, their in zip(state, mems, strict=True):
            torch.testing.assert_close(ours, their.transpose(0, 1), atol=1e-5, rtol=1e-5)
