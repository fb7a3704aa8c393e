"""What a run's id hangs on, and what it outlives."""

import ast
import importlib
import json
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from archbench.contracts.architecture import ModelDims
from archbench.host import default_host
from archbench.registry import Registered
from archbench.spec.identity import (
    ComponentIdentity,
    DataIdentity,
    EvaluationSettings,
    RunIdentity,
    TrainingSettings,
    canonical_id,
)
from archbench.spec.versions import component_identity

ROOT = Path(__file__).parents[3]


def identity(**changes: Any) -> RunIdentity:
    content = {
        "architecture": {"kind": "gpt2"},
        "dims": ModelDims(vocab_size=264, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64),
        "objective": {"kind": "causal_lm"},
        "data": DataIdentity(corpus_hash="c" * 64, order="stream"),
        "training": TrainingSettings(batch_tokens=128, total_steps=12, peak_learning_rate=3e-3),
        "evaluation": EvaluationSettings(),
        "seed": 0,
        "numerics": 2,
        "components": {"architecture": ComponentIdentity(numerics=1)},
        "libraries": {"transformers": "5.0"},
    }
    return RunIdentity.model_validate({**content, **changes})


def test_an_id_is_of_one_format_and_is_that_of_its_stored_bytes() -> None:
    stored = json.loads(identity().canonical_json())
    assert stored["format"] == 2
    assert "plugin_versions" not in stored
    assert canonical_id(stored) == identity().run_id == RunIdentity.model_validate(stored).run_id
    old = identity(format=1, numerics=None, components={}, libraries={}, plugin_versions={"archbench": "0.1.0"})
    assert old.run_id != identity().run_id
    assert old.distributions == {"archbench": "0.1.0"}


def test_archbenchs_own_components_have_no_version_in_it_and_others_have() -> None:
    gpt2 = default_host().registry.architectures["gpt2"]
    assert component_identity(gpt2).model_dump() == {"numerics": 1}
    strange = Registered(gpt2.config, "strange", "strange-package", "1.2")
    assert component_identity(strange).model_dump() == {
        "numerics": 1,
        "distribution": "strange-package",
        "version": "1.2",
    }
    with_it = identity(components={"architecture": component_identity(strange)})
    assert with_it.run_id != identity().run_id
    assert with_it.distributions == {"strange-package": "1.2"}


@pytest.mark.parametrize(
    "changes",
    [
        {"numerics": 3},
        {"components": {"architecture": ComponentIdentity(numerics=2)}},
        {"libraries": {"transformers": "5.1"}},
        {"training": TrainingSettings(batch_tokens=128, total_steps=12, peak_learning_rate=3e-3, precision="bf16")},
    ],
)
def test_what_changes_numbers_changes_the_id(changes: dict[str, Any]) -> None:
    assert identity(**changes).run_id != identity().run_id


@pytest.mark.parametrize(
    "changes",
    [
        {"numerics": None},
        {"plugin_versions": {"archbench": "0.1.0"}},
        {"format": 1, "plugin_versions": {"archbench": "0.1.0"}},
        {"format": 1, "numerics": None, "components": {}, "libraries": {}},
        {"format": 3},
    ],
)
def test_an_identity_of_two_formats_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        identity(**changes)


STORED = sorted((ROOT / "tests" / "golden" / "release_0_1_0" / "runs").glob("*/record.json"))


def test_ids_of_version_0_1_0_come_out_as_they_were() -> None:
    assert STORED
    for path in STORED:
        record = json.loads(path.read_bytes())
        read = RunIdentity.model_validate(record["identity"])
        assert (read.format, read.run_id) == (1, record["run_id"])


_NAMES = packages_distributions()
_NOT_IN_IDS = {"torch", "numpy", "pydantic", "archbench"}
"""Libraries of every run: rounding is no identity (decision 75), and they stand in each record's arithmetic."""


def libraries_imported_by(module_name: str) -> set[str]:
    """Distributions that the sources of a component's package import, the shared bridge to transformers included."""
    file = Path(str(importlib.import_module(module_name).__file__))
    found = set()
    for path in file.parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {"transformers" if name == "archbench.nn.transformers_models" else name for name in names}
    tops = {name.partition(".")[0] for name in found}
    return {_NAMES[top][0].lower().replace("_", "-") for top in tops if top in _NAMES} - _NOT_IN_IDS


REGISTRY = default_host().registry
COMPONENTS = [
    pytest.param(entry, id=f"{catalog.noun} {kind}")
    for catalog in (REGISTRY.architectures, REGISTRY.objectives, REGISTRY.optimizers)
    for kind, entry in catalog.entries.items()
    if entry.distribution == "archbench"
]


@pytest.mark.parametrize("entry", COMPONENTS)
def test_every_component_declares_the_libraries_that_it_computes_with(entry: Registered[Any]) -> None:
    imported = libraries_imported_by(entry.config.__module__)
    assert set(entry.config.libraries) == {name for name in imported if not name.startswith("archbench")}
