"""The conformance suites as classes for pytest, one for each component of a plug-in that has a suite."""

from typing import Any

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.data import TokenizerConfig
from archbench.contracts.objective import ObjectiveConfig
from archbench.contracts.optimizer import OptimizerConfig

Checked = ArchitectureConfig | ObjectiveConfig | OptimizerConfig | TokenizerConfig
"""What has a suite."""

SUITE_FILE = """\
import pytest
names = ("architecture", "objective", "optimizer", "tokenizer")
pytest.register_assert_rewrite(*(f"archbench.testing.{name}" for name in names))
from archbench.testing.plugin_check.suites import collected
globals().update({name: make() for name, make in collected.items()})
"""
"""The test file that pytest is given; the suites are imported there, so that their assertions tell both sides."""

METHOD_TO_MEND = {
    "test_ladder_hits_every_size_within_5_percent_and_never_steps_back": "sized_for",
    "test_an_impossible_size_is_refused": "sized_for",
    "test_a_shape_that_cannot_be_built_is_named": "problems",
    "test_analytic_parameters_equal_the_built_modules": "num_params",
    "test_analytic_flops_equal_the_counted_ones": "forward_flops_per_token",
    "test_config_survives_a_round_trip": "kind",
    "test_config_is_frozen_and_refuses_unknown_keys": "kind",
    "test_source_is_stated": "source",
    "test_importing_and_planning_load_no_torch": "sized_for",
    "test_meaning_of_the_loss_is_stated": "track",
    "test_every_text_comes_back": "prepare",
    "test_the_fingerprint_is_that_of_the_ids": "prepare",
    "test_bytes_counted_are_the_bytes_of_the_text": "prepare",
}
"""Test of a suite -> the member of the config that it is about, where it is not the module that `build` returns."""

collected: dict[str, Any] = {}
"""Name of a test class -> what makes it; filled by `collect` before pytest imports `SUITE_FILE`."""


def collect(config: Checked, module: str | None) -> str:
    """Has the suite for `config`, which `module` registers, run; the name of its test class."""
    # A tokenizer or an optimizer may have the name of an architecture.
    noun = {TokenizerConfig: "tokenizer_", OptimizerConfig: "optimizer_"}
    name = f"Test_{next((word for base, word in noun.items() if isinstance(config, base)), '')}{config.kind}"
    collected[name] = lambda: _suite(name, config, module)
    return name


def _suite(name: str, config: Checked, module: str | None) -> type:
    # Only now: pytest must have been told to rewrite their assertions before they are imported.
    if isinstance(config, ArchitectureConfig):
        from archbench.testing.architecture import ArchitectureConformance

        return type(name, (ArchitectureConformance,), {"config": config, "plugin": module})
    if isinstance(config, TokenizerConfig):
        from archbench.testing.tokenizer import TokenizerConformance

        return type(name, (TokenizerConformance,), {"config": config})
    if isinstance(config, OptimizerConfig):
        from archbench.testing.optimizer import OptimizerConformance

        return type(name, (OptimizerConformance,), {"config": config})
    from archbench.testing.objective import ObjectiveConformance

    return type(name, (ObjectiveConformance,), {"config": config})
