"""The conformance suite on Reformer, in both modes of attention."""

import pytest

from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench_reformer.config import ReformerConfig


class TestReformer(ArchitectureConformance):
    config = ReformerConfig(bucket_size=8, n_hashes=2)
    plugin = "archbench_reformer.plugin"
    flops_tolerance = 0.0


@pytest.mark.gpu
class TestReformerOnCuda(ArchitectureOnCuda):
    config = ReformerConfig()
