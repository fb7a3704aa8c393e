"""Makes objectives that corrupt or split text known to archbench."""

from archbench.api import ObjectiveConfig, hookimpl
from archbench_denoising.prefix_lm import PrefixLmConfig
from archbench_denoising.replaced_tokens import ReplacedTokenDetectionConfig
from archbench_denoising.span_corruption import SpanCorruptionConfig


@hookimpl
def register_objectives() -> list[type[ObjectiveConfig]]:
    """Prefix language modelling, span corruption and replaced-token detection."""
    return [PrefixLmConfig, SpanCorruptionConfig, ReplacedTokenDetectionConfig]
