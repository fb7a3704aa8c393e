"""The conformance suite on Gpt2."""

from archbench.testing.architecture import ArchitectureConformance
from archbench_gpt2.config import Gpt2Config


class TestGpt2(ArchitectureConformance):
    config = Gpt2Config()
    plugin = "archbench_gpt2.plugin"
