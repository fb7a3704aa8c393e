"""Each mixer against the plain equation that it computes faster or in chunks."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import elu, normalize

from archbench.nn.mixers.base import Mixer
from archbench.nn.mixers.linear import GatedLinearAttention, LinearAttention, initialise_gates
from archbench.nn.mixers.recurrence_memory import RecurrenceMemory
from archbench.nn.mixers.shared_qk import HashedAttention, SharedQueryKeyAttention
from archbench.nn.mixers.softmax import SoftmaxAttention, WindowAttention
from archbench.nn.positions import Rotation, Sinusoids

WIDTH, HEADS, LENGTH = 12, 2, 24
D_HEAD = WIDTH // HEADS


def drawn(mixer: Mixer) -> Mixer:
    """`mixer` with weights of order one, so that every term matters."""
    torch.manual_seed(0)
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return mixer.double()


def sequence() -> Tensor:
    return torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_head(projected: Tensor, parts: int) -> list[Tensor]:
    return [part.transpose(1, 2) for part in projected.unflatten(-1, (parts, HEADS, D_HEAD)).unbind(2)]


def seen(window: int) -> Tensor:
    distance = torch.arange(LENGTH)[:, None] - torch.arange(LENGTH)[None, :]
    return (distance >= 0) & (distance < window)


@pytest.mark.parametrize("window", [1, 5, 8, 12, 23, 24, 99])
def test_window_attention_is_softmax_over_the_last_positions(window: int) -> None:
    mixer, x = drawn(WindowAttention(WIDTH, HEADS, window=window)), sequence()
    queries, keys, values = by_head(mixer.to_heads(x), 3)
    scores = (queries @ keys.transpose(-1, -2) / D_HEAD**0.5).masked_fill(~seen(window), float("-inf"))
    expected = mixer.output((scores.softmax(-1) @ values).transpose(1, 2).flatten(2))
    torch.testing.assert_close(mixer(x), expected)


def test_linear_attention_is_the_normalised_sum_with_its_kernel() -> None:
    mixer, x = drawn(LinearAttention(WIDTH, HEADS, chunk_size=5)), sequence()
    queries, keys, values = by_head(mixer.to_heads(x), 3)
    weights = ((elu(queries) + 1) @ (elu(keys) + 1).transpose(-1, -2)).tril()
    mixed = (weights / weights.sum(-1, keepdim=True)) @ values
    torch.testing.assert_close(mixer(x), mixer.output(mixed.transpose(1, 2).flatten(2)))


def test_gated_linear_attention_fades_by_the_product_of_the_gates_between() -> None:
    mixer, x = drawn(GatedLinearAttention(WIDTH, HEADS, chunk_size=5)), sequence()
    queries, keys, values = by_head(mixer.to_heads(x), 3)
    decay = mixer.to_gates(x).sigmoid().transpose(1, 2) ** (1 / 16)
    mixed = torch.zeros_like(values)
    for place in range(LENGTH):
        for source in range(place + 1):
            left = decay[:, :, source + 1 : place + 1].prod(-1)
            score = (queries[:, :, place] * keys[:, :, source]).sum(-1) / D_HEAD**0.5
            mixed[:, :, place] += (left * score)[..., None] * values[:, :, source]
    mixed = mixed / mixed.square().mean(-1, keepdim=True).add(torch.finfo(torch.float64).eps).sqrt()
    expected = mixer.output(mixed.transpose(1, 2).flatten(2))
    # Decays are summed in fp32.
    torch.testing.assert_close(mixer(x), expected, atol=1e-4, rtol=1e-4)


def test_gates_start_at_half_lives_from_8_to_128_positions() -> None:
    mixer = GatedLinearAttention(64, 5, chunk_size=8)
    initialise_gates(mixer)
    decay = mixer.to_gates.bias.sigmoid() ** (1 / 16)
    half_lives = torch.log(torch.tensor(0.5)) / decay.log()
    torch.testing.assert_close(half_lives, torch.tensor([8.0, 16.0, 32.0, 64.0, 128.0]), rtol=1e-3, atol=0.0)


def test_shared_queries_and_keys_attend_to_themselves_at_the_first_position_alone() -> None:
    mixer, x = drawn(SharedQueryKeyAttention(WIDTH, HEADS)), sequence()
    shared, values = by_head(mixer.to_heads(x), 2)
    scores = shared @ normalize(shared, dim=-1).transpose(-1, -2) / D_HEAD**0.5
    before = seen(LENGTH) & ~torch.eye(LENGTH, dtype=torch.bool)
    before[0, 0] = True
    mixed = scores.masked_fill(~before, float("-inf")).softmax(-1) @ values
    torch.testing.assert_close(mixer(x), mixer.output(mixed.transpose(1, 2).flatten(2)))


def test_hashing_into_buckets_that_hold_everything_is_exact_attention_but_for_repeats() -> None:
    """Two chunks of half the context, one round: each sees itself and the other, hence all."""
    exact = drawn(SharedQueryKeyAttention(WIDTH, HEADS))
    hashed = HashedAttention(WIDTH, HEADS, bucket_size=LENGTH // 2, n_hashes=1).double()
    hashed.load_state_dict(exact.state_dict())
    torch.testing.assert_close(hashed(sequence()), exact(sequence()), atol=1e-9, rtol=1e-9)


def test_memory_is_text_that_came_before() -> None:
    mixer, x = drawn(RecurrenceMemory(WIDTH, HEADS, max_keys=LENGTH)), sequence()
    whole = mixer(x)
    torch.testing.assert_close(mixer(x[:, 16:], memory=x[:, :16]), whole[:, 16:])


@pytest.mark.parametrize("d_head", [6, 7])
def test_rotated_products_depend_on_the_distance_alone(d_head: int) -> None:
    rotation = Rotation(d_head, 64).double()
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(d_head, generator=generator, dtype=torch.float64) for _ in range(2))
    queries, keys = (rotation(one.expand(64, d_head)) for one in (query, key))
    scores = queries @ keys.T
    # The table of angles is in fp32.
    torch.testing.assert_close(scores[10:, :54].diagonal(), scores[10, 0].expand(54), atol=1e-5, rtol=1e-5)
    assert abs(float(scores[10, 0] - scores[11, 0])) > 1e-3
    torch.testing.assert_close(queries.norm(dim=-1), query.norm().expand(64), atol=1e-5, rtol=1e-5)


def test_rotation_changes_attention_and_needs_no_parameters() -> None:
    plain = drawn(SoftmaxAttention(WIDTH, HEADS))
    rotated = SoftmaxAttention(WIDTH, HEADS, rotation=Rotation(D_HEAD, LENGTH)).double()
    rotated.load_state_dict(plain.state_dict())
    assert not torch.allclose(plain(sequence()), rotated(sequence()))


def test_sinusoids_have_the_asked_root_mean_square() -> None:
    table = Sinusoids(32, 100, scale=0.02)(torch.arange(100))
    # sin² and cos² of one angle add up to one.
    assert table.square().mean().sqrt().item() == pytest.approx(0.02, rel=1e-4)
