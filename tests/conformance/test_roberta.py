"""The conformance suite on Roberta."""

from archbench.testing.architecture import ArchitectureConformance
from archbench_roberta.config import RobertaConfig


class TestRoberta(ArchitectureConformance):
    config = RobertaConfig()
    plugin = "archbench_roberta.plugin"
