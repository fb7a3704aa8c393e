"""The conformance suite on the Evolved Transformer."""

import pytest

from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench_evolved_transformer.config import EvolvedTransformerConfig


class TestEvolvedTransformer(ArchitectureConformance):
    config = EvolvedTransformerConfig()
    plugin = "archbench_evolved_transformer.plugin"
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestEvolvedTransformerOnCuda(ArchitectureOnCuda):
    config = EvolvedTransformerConfig()
