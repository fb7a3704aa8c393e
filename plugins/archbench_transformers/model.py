"""A model of transformers as an archbench language model. Imports torch and transformers."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights
from transformers.modeling_outputs import BaseModelOutput, ModelOutput

from archbench.api import Attention, ModelDims
from archbench.nn.language_model import Encoded, LanguageModel, State
from archbench_transformers.families import AUTO, Family

_ALIGNED = 8
"""Numbers of two bytes in sixteen."""
_COEFFICIENTS = ("router_aux_loss_coef", "aux_loss_coef")


class _Hidden(BaseModelOutput):  # type: ignore[misc]  # of a library without types
    """What a trunk returns, of which all but the hidden states is left out, under whatever name it is asked for."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class TransformersModel(LanguageModel):
    """A causal or masked model of transformers: its trunk, and its head by the library's own forward.

    The head is what the library's forward does with the hidden states of the trunk, which is stood in for meanwhile:
    scales and caps of logits, and heads of several layers, are the library's.
    """

    def __init__(self, family: Family, dims: ModelDims, attention: Attention) -> None:
        super().__init__()
        made = family.at(dims, attention)
        family.model_class(attention)
        without_data = isinstance(torch.empty(0), FakeTensor)
        # Draws that are repeated until they fit, and experts that are sent tokens by value, need numbers.
        experts = {"experts_implementation": "batched_mm"} if without_data and family.shape.num_experts else {}
        with no_init_weights() if without_data else nullcontext():
            self.inner: PreTrainedModel = AUTO[attention].from_config(made, dtype=torch.float32, **experts)
        self.inner.tie_weights()
        for module in self.inner.modules():
            if isinstance(module, nn.Embedding):
                module.padding_idx = None
        self._settle_bias(family.asked.output_bias)
        self._num_experts, self._active_experts = family.shape.num_experts, family.shape.active_experts
        if not without_data and any(size % _ALIGNED for _, one in self._of_experts() for size in one.shape[1:]):
            # Torch's product by groups needs rows of whole 16 bytes.
            self.inner.set_experts_implementation("eager")
        self._asks = frozenset(inspect.signature(self.inner.base_model.forward).parameters)
        self.dims = dims

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        """See `LanguageModel.encode`; token types are ignored and no state is carried."""
        given = self.positions(tokens)
        routed = self.training and self._coefficient > 0.0
        if routed:
            given["output_router_logits"] = True
        output = self.inner.base_model(tokens, **given)
        hidden: Tensor = output[0]
        return Encoded(hidden, None, self._balance(output) if routed else None)

    def logits(self, hidden: Tensor) -> Tensor:
        """See `LanguageModel.logits`."""
        rows = hidden.reshape(-1, *hidden.shape[-2:]) if hidden.ndim > 2 else hidden[None]
        with self._trunk_giving(_Hidden(last_hidden_state=rows)):
            found: Tensor = self.inner(_any_tokens(rows)).logits
        return found.view(*hidden.shape[:-1], found.shape[-1])

    def positions(self, tokens: Tensor) -> dict[str, Any]:
        """The library's argument for the positions of `tokens`, where it would count them from a padding token."""
        if "position_ids" not in self._asks or not self._counts_from_padding:
            return {}
        return {"position_ids": torch.arange(tokens.shape[1], device=tokens.device)[None].expand(tokens.shape)}

    def idle_parameters(self) -> int:
        """See `LanguageModel.idle_parameters`: of matrices that have one for each expert."""
        if self._num_experts is None or self._active_experts is None:
            return 0
        idle = max(0, self._num_experts - self._active_experts)
        return sum(parameter.numel() for _, parameter in self._of_experts()) * idle // self._num_experts

    def _of_experts(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that have a part for each expert, or are one's."""
        if self._num_experts is None:
            return []
        named = self.inner.named_parameters()
        return [(name, one) for name, one in named if _is_of_experts(name, one, self._num_experts)]

    @property
    def _coefficient(self) -> float:
        """What the library weights the balance of experts with; 0 where it has none."""
        config = self.inner.config
        return next((float(getattr(config, name, 0.0) or 0.0) for name in _COEFFICIENTS if hasattr(config, name)), 0.0)

    @property
    def _counts_from_padding(self) -> bool:
        """Whether positions are counted from a padding token, which there is not."""
        return any(
            hasattr(module, "padding_idx") and not isinstance(module, nn.Embedding) for module in self.inner.modules()
        )

    def _balance(self, output: ModelOutput) -> Tensor | None:
        """The library's auxiliary loss of what its routers chose, weighted as the library weights it."""
        given = {name: None for name in ("past_key_values", "hidden_states", "attentions") if name in output}
        with self._trunk_giving(type(output)(**{**output, **given})):
            found = self.inner(_any_tokens(output[0]), output_router_logits=True, logits_to_keep=slice(0, 0))
        loss: Tensor | None = getattr(found, "aux_loss", None)
        return None if loss is None else self._coefficient * loss

    @contextmanager
    def _trunk_giving(self, output: ModelOutput) -> Iterator[None]:
        """Within, the trunk returns `output` whatever it is given."""
        trunk = self.inner.base_model
        # Some heads ask the trunk's only part.
        parts = [trunk, *(part for name, part in trunk.named_children() if name in ("decoder", "encoder"))]
        for part in parts:
            vars(part)["forward"] = lambda *arguments, **more: output
        try:
            yield
        finally:
            for part in parts:
                del vars(part)["forward"]

    def _settle_bias(self, wanted: bool | None) -> None:
        """Takes the bias of the logits away, where there is one and none is wanted."""
        head = self.inner.get_output_embeddings()
        if wanted is False and isinstance(head, nn.Linear) and head.bias is not None:
            for module in self.inner.modules():
                for name, parameter in list(module._parameters.items()):
                    if parameter is head.bias:
                        module.register_parameter(name, None)


def _any_tokens(rows: Tensor) -> Tensor:
    return torch.zeros(rows.shape[:2], dtype=torch.int64, device=rows.device)


def _is_of_experts(name: str, parameter: Tensor, experts: int) -> bool:
    """Whether a parameter has a part for each expert, or is that of one of them."""
    parts = name.split(".")
    if any(one == "experts" and following.isdigit() for one, following in pairwise(parts)):
        return True
    return "experts" in parts and parameter.ndim >= 2 and parameter.shape[0] == experts
