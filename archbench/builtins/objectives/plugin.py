"""The objectives that come with archbench."""

from collections.abc import Sequence

from archbench.api import ObjectiveConfig, hookimpl
from archbench.builtins.objectives.causal_lm import CausalLmConfig


@hookimpl
def register_objectives() -> Sequence[type[ObjectiveConfig]]:
    """Causal and masked language modelling."""
    return [CausalLmConfig]
