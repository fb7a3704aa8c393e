"""What an architecture must also do on an accelerator."""

import math
from typing import ClassVar

import pytest
import torch

from archbench.api import ArchitectureConfig, Attention, ModelDims
from archbench.testing.probes import (
    cross_entropy_nats,
    input_gradients,
    random_tokens,
    seeded_model,
    steady_state,
    steps_to_memorise,
)


class ArchitectureOnCuda:
    """Tests on CUDA, skipped where there is none. Subclass it with a `config`, as `ArchitectureConformance`.

    ```python
    class TestMyArchitectureOnCuda(ArchitectureOnCuda):
        config = MyConfig()
    ```
    """

    config: ClassVar[ArchitectureConfig]
    """The architecture under test."""

    dims: ClassVar[ModelDims | None] = None
    """Shape of the model under test; by default the rung nearest to a million parameters, V 264, T 256."""

    @pytest.fixture(autouse=True)
    def _needs_cuda(self) -> None:
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs tests with an argument `attention` once per mode that the architecture offers."""
        if "attention" in metafunc.fixturenames:
            modes = sorted(self.config.attention_modes)
            metafunc.parametrize("attention", modes, ids=[mode.value for mode in modes])

    def shape(self) -> ModelDims:
        """The shape of the model under test."""
        return self.dims or self.config.sized_for(1e6, vocab_size=264, seq_len=256)

    def test_logits_on_cuda_equal_those_on_the_cpu(self, attention: Attention) -> None:
        """The same weights give the same logits in fp32, whichever kernels run."""
        dims = self.shape()
        model, tokens = seeded_model(self.config, dims, attention), random_tokens(2, dims)
        torch.manual_seed(1)
        expected = model(tokens)
        torch.manual_seed(1)
        got = model.to("cuda")(tokens.to("cuda")).cpu()
        # Ten bits of a TF32 product, accumulated over a few layers; logits of an untrained model are about 0.3.
        torch.testing.assert_close(got, expected, atol=5e-3, rtol=5e-3)

    def test_forward_and_backward_in_bfloat16_are_finite(self, attention: Attention) -> None:
        """Loss near ln V, and a finite gradient on every parameter, with the model in bfloat16."""
        dims = self.shape()
        model = seeded_model(self.config, dims, attention).to("cuda", torch.bfloat16)
        tokens, targets = (random_tokens(4, dims, seed).to("cuda") for seed in (0, 1))
        loss = cross_entropy_nats(model(tokens, state=steady_state(model, tokens)), targets)
        torch.autograd.backward(loss)
        assert loss.item() == pytest.approx(math.log(dims.vocab_size), abs=0.3)
        broken = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert broken == [], f"parameters without a finite gradient: {broken}"

    def test_causality_by_gradient_in_bfloat16(self, attention: Attention) -> None:
        """The fused kernels of the device keep the mask: a gradient that is not both-sided is exactly zero later on."""
        dims = self.shape()
        model = seeded_model(self.config, dims, attention).to("cuda", torch.bfloat16)
        position = dims.seq_len // 2
        gradients = input_gradients(model, random_tokens(1, dims).to("cuda"), position)
        assert gradients is not None, "no nn.Embedding is called on the tokens; the suite cannot follow gradients"
        later = gradients[0, position + 1 :].max().item()
        assert (later > 0.0) == (attention is Attention.BIDIRECTIONAL), f"gradient at later tokens: {later}"

    def test_a_batch_can_be_memorised(self, attention: Attention) -> None:
        """A few steps of Adam on one batch, weights in fp32, lower its loss to half."""
        dims = self.shape()
        model = seeded_model(self.config, dims, attention).to("cuda")
        tokens, targets = (random_tokens(1, dims, seed).to("cuda") for seed in (0, 1))
        wanted = 0.5 * math.log(dims.vocab_size)
        steps, loss_nats = steps_to_memorise(model, tokens, targets, below_nats=wanted, max_steps=300)
        assert loss_nats < wanted, f"after {steps} steps the loss is {loss_nats:.3f} nats, not below {wanted:.3f}"
