"""The conformance suite on Bert."""

from archbench.testing.architecture import ArchitectureConformance
from archbench_bert.config import BertConfig


class TestBert(ArchitectureConformance):
    config = BertConfig()
    plugin = "archbench_bert.plugin"
