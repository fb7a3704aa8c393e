"""The objectives that come with archbench."""

from collections.abc import Sequence

from archbench.api import ObjectiveConfig, hookimpl
from archbench.builtins.objectives.bert_pretraining import BertPretrainingConfig
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.objectives.masked_lm import MaskedLmConfig


@hookimpl
def register_objectives() -> Sequence[type[ObjectiveConfig]]:
    """Causal and masked language modelling."""
    return [CausalLmConfig, MaskedLmConfig, BertPretrainingConfig]
