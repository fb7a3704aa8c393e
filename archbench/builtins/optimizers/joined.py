"""Several torch optimizers, each with its own parameters, as the one that an engine asks for."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


class JoinedOptimizer(torch.optim.Optimizer):
    """Takes a step of all of `parts`. Parameter groups and state are theirs, so that nothing is kept twice."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._parts = tuple(parts)
        self.param_groups = [group for part in parts for group in part.param_groups]
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `load_state_dict` puts in the place of groups and state becomes the parts' too."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        # The same objects: a rate that is set in a group here, and a state that is restored here, are the parts' own.
        groups = iter(self.param_groups)
        for part in self._parts:
            part.state = self.state
            part.param_groups = [next(groups) for _ in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each part, in their order. Returns the closure's value, where there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss
