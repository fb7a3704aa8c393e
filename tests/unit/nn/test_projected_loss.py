"""The loss from hidden states and an output matrix, without the logits of all positions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from torch.utils._python_dispatch import TorchDispatchMode

from archbench.nn import loss
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.nn.loss import block_rows, projected_cross_entropy, token_nats

IGNORED = -100
WIDTH, CLASSES, BLOCK_ROWS = 12, 50, 16


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "block_rows", lambda vocab_size, device_type: BLOCK_ROWS)


@pytest.mark.parametrize(
    ("vocab_size", "device", "rows"), [(256, "cpu", 512), (4096, "cpu", 256), (50_000, "cpu", 64), (4096, "cuda", 8192)]
)
def test_a_block_fits_the_caches(vocab_size: int, device: str, rows: int) -> None:
    assert block_rows(vocab_size, device) == rows


def drawn(positions: int, dtype: torch.dtype = torch.float64, *, bias: bool = True) -> tuple[list[Tensor], Tensor]:
    """Hidden states, weight and (or no) bias, and targets, of which every seventh is ignored."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(positions, WIDTH), (CLASSES, WIDTH), *([(CLASSES,)] if bias else [])]
    tensors = [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]
    targets = torch.randint(CLASSES, (positions,), generator=generator)
    targets[::7] = IGNORED
    return tensors, targets


def projected(tensors: list[Tensor], targets: Tensor) -> Tensor:
    hidden, weight, *rest = tensors
    return projected_cross_entropy(hidden, Projection(weight, rest[0] if rest else None), targets, ignored=IGNORED)


def torchs(tensors: list[Tensor], targets: Tensor) -> Tensor:
    return cross_entropy(linear(*tensors), targets, ignore_index=IGNORED, reduction="sum")


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(
    "positions", [1, 2, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS, 3 * BLOCK_ROWS + 5]
)
def test_value_and_gradients_are_torchs(positions: int, bias: bool) -> None:
    tensors, targets = drawn(positions, bias=bias)
    total, expected = projected(tensors, targets), torchs(tensors, targets)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(0.7 * total, tensors), torch.autograd.grad(0.7 * expected, tensors), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_fp32_is_as_near_to_the_exact_value_as_torchs(scale: float) -> None:
    """With a scale of 300 most probabilities are too small for a float, and their logarithms are not."""
    tensors, targets = drawn(137)
    with torch.no_grad():
        tensors[1].mul_(scale)
    exact = torch.autograd.grad(torchs(tensors, targets), tensors)
    narrow = [tensor.detach().float().requires_grad_() for tensor in tensors]
    total = projected(narrow, targets)
    assert total.dtype is torch.float32
    # 24 bits; sums of 137 positions and 50 classes.
    torch.testing.assert_close(total.double(), torchs(tensors, targets), rtol=1e-6, atol=0.0)
    for mine, right in zip(torch.autograd.grad(total, narrow), exact, strict=True):
        # Logits of 1,000 are resolved to 6e-5, and a probability changes by as much.
        torch.testing.assert_close(mine.double(), right, rtol=1e-5, atol=1e-6 * scale * right.abs().max().item())


def test_bf16_sums_over_positions_in_fp32() -> None:
    """4,096 equal positions: a sum in bf16 would stop growing at 256 times its terms."""
    weight = torch.zeros(CLASSES, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    bias = torch.zeros(CLASSES, dtype=torch.bfloat16, requires_grad=True)
    hidden = torch.ones(4096, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    total = projected([hidden, weight, bias], torch.zeros(4096, dtype=torch.int64))
    assert total.dtype is torch.float32
    assert total.item() == pytest.approx(4096 * torch.tensor(float(CLASSES)).log().item(), rel=1e-6)
    gradients = torch.autograd.grad(total, [hidden, weight, bias])
    assert [gradient.dtype for gradient in gradients] == [torch.bfloat16] * 3
    expected = torch.full((CLASSES,), 4096 / CLASSES)
    expected[0] -= 4096
    # 1/50 and what comes out are rounded to 8 bits.
    torch.testing.assert_close(gradients[1].float(), expected[:, None].expand(-1, WIDTH), rtol=1e-2, atol=0.0)
    torch.testing.assert_close(gradients[2].float(), expected, rtol=1e-2, atol=0.0)


def test_bf16_gradients_are_those_of_torch_to_its_bits() -> None:
    tensors, targets = drawn(259, torch.bfloat16)
    gradients = torch.autograd.grad(projected(tensors, targets), tensors)
    wide = [tensor.detach().float().requires_grad_() for tensor in tensors]
    for mine, right in zip(gradients, torch.autograd.grad(torchs(wide, targets), wide), strict=True):
        # 8 bits of logits, of their gradient and of the result.
        torch.testing.assert_close(mine.float(), right, rtol=0.05, atol=0.02 * right.abs().max().item())


def test_all_ignored_is_nothing_and_pulls_nowhere() -> None:
    tensors, targets = drawn(BLOCK_ROWS + 2)
    total = projected(tensors, targets.fill_(IGNORED))
    assert total.item() == 0.0
    assert all(not gradient.any() for gradient in torch.autograd.grad(total, tensors))


def test_no_position_is_nothing() -> None:
    tensors, targets = drawn(0)
    total = projected(tensors, targets)
    assert total.item() == 0.0
    assert all(not gradient.any() for gradient in torch.autograd.grad(total, tensors))


def test_a_tied_matrix_gathers_the_gradients_of_both_its_uses() -> None:
    tensors, targets = drawn(BLOCK_ROWS + 5)
    tokens = torch.arange(BLOCK_ROWS + 5) % CLASSES
    table, bias = tensors[1:]
    (mine,) = torch.autograd.grad(projected([table[tokens].tanh(), table, bias], targets), table)
    (theirs,) = torch.autograd.grad(torchs([table[tokens].tanh(), table, bias], targets), table)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_only_what_asks_for_a_gradient_gets_one() -> None:
    (hidden, weight, bias), targets = drawn(9)
    total = projected([hidden, weight.detach(), bias.detach()], targets)
    (mine,) = torch.autograd.grad(total, hidden)
    (theirs,) = torch.autograd.grad(torchs([hidden, weight, bias], targets), hidden)
    torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


class _Largest(TorchDispatchMode):
    """Notes how many elements the largest result has, and how many matrix products there were."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        self.products += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_all_positions_never_exist(dtype: torch.dtype) -> None:
    positions, classes = 8 * BLOCK_ROWS, 300
    hidden = torch.randn(positions, WIDTH).to(dtype).requires_grad_()
    weight = torch.randn(classes, WIDTH).to(dtype).requires_grad_()
    with _Largest() as seen:
        projected([hidden, weight], torch.zeros(positions, dtype=torch.int64)).backward()
    # A block of logits, or the hidden states themselves.
    assert seen.elements == max(BLOCK_ROWS * classes, positions * WIDTH)
    assert seen.products == 3 * 8


def test_evaluation_computes_the_same_and_no_gradient() -> None:
    tensors, targets = drawn(3 * BLOCK_ROWS)
    with torch.no_grad(), _Largest() as seen:
        total = projected(tensors, targets)
    assert seen.products == 3
    assert not total.requires_grad
    torch.testing.assert_close(total, projected(tensors, targets).detach(), rtol=1e-12, atol=0.0)


def test_gradients_of_gradients_are_refused() -> None:
    tensors, targets = drawn(5)
    with pytest.raises(RuntimeError, match="no gradients of gradients"):
        torch.autograd.grad(projected(tensors, targets), tensors, create_graph=True)


def test_a_second_backward_pass_is_refused() -> None:
    tensors, targets = drawn(5)
    total = projected(tensors, targets)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_hidden_states_that_are_no_numbers_give_no_number() -> None:
    tensors, targets = drawn(5)
    assert projected([torch.where(torch.arange(WIDTH) == 3, float("nan"), tensors[0]), *tensors[1:]], targets).isnan()


def test_a_target_that_is_no_class_is_refused() -> None:
    tensors, targets = drawn(5)
    targets[1] = CLASSES
    with pytest.raises(RuntimeError, match="out of bounds"):
        projected(tensors, targets)


class Table(LanguageModel):
    """A table and an output matrix, with a function between them."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.matrix = nn.Embedding(CLASSES, WIDTH), nn.Linear(WIDTH, CLASSES)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        return Encoded(self.table(tokens), None)

    def before_output(self, hidden: Tensor) -> Tensor:
        return hidden.tanh()

    def output_weights(self) -> Projection:
        return Projection(self.matrix.weight, self.matrix.bias)


class Doubled(Table):
    """Says what its logits are by itself."""

    def logits(self, hidden: Tensor) -> Tensor:
        return 2.0 * self.matrix(hidden)


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("model_class", [Table, Doubled])
def test_the_loss_of_a_model_is_that_of_its_logits(model_class: type[Table], share: float) -> None:
    torch.manual_seed(0)
    model = model_class().double()
    tokens = torch.arange(200).view(4, 50) % CLASSES
    targets = tokens.roll(1, 1).masked_fill(torch.arange(50) < torch.tensor([3, 10, 40, 50])[:, None], IGNORED)
    seen: list[Tensor] = []
    nats = token_nats(
        model,
        model.encode(tokens).hidden,
        targets,
        ignored=IGNORED,
        predicted_share=share,
        on_logits=lambda rows, logits: seen.append(logits.clone()),
    )
    logits = model(tokens)
    expected = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(nats, expected, rtol=1e-12, atol=0.0)
    shown = logits[targets != IGNORED] if share < 1.0 else logits.flatten(0, 1)
    torch.testing.assert_close(torch.cat(seen), shown.detach(), rtol=1e-12, atol=1e-12)
    parameters = list(model.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(nats, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_logits_that_somebody_sets_on_a_model_are_its_logits() -> None:
    model, tokens = Table().double(), torch.arange(6)[None]
    assert model.derives_logits
    model.logits = lambda hidden: hidden.new_zeros(*hidden.shape[:-1], CLASSES)  # type: ignore[method-assign]
    assert not model.derives_logits
    nats = token_nats(model, model.encode(tokens).hidden, tokens, ignored=IGNORED)
    assert nats.item() == pytest.approx(6 * torch.tensor(float(CLASSES)).log().item())


def test_a_model_that_says_neither_output_nor_logits_is_told_so() -> None:
    class Silent(Table):
        output_weights = LanguageModel.output_weights

    with pytest.raises(NotImplementedError, match="Silent hands out no output projection"):
        Silent()(torch.arange(3)[None])
