"""The conformance suite on Transformer-XL."""

import pytest

from archbench.testing.architecture import ArchitectureConformance
from archbench.testing.cuda import ArchitectureOnCuda
from archbench_transformer_xl.config import TransformerXLConfig


class TestTransformerXL(ArchitectureConformance):
    config = TransformerXLConfig()
    plugin = "archbench_transformer_xl.plugin"
    # The distances are projected once per step, whatever the rows, and the suite's batches have two rows. That the
    # difference is this projection, to the last FLOP, is tested in tests/unit/transformer_xl/test_config.py.
    flops_tolerance = 0.06


@pytest.mark.gpu
class TestTransformerXLOnCuda(ArchitectureOnCuda):
    config = TransformerXLConfig()
