"""Whatever is done to a spec, the answer is a spec, a plan or one line that a person understands.

ARCHBENCH_MUTATIONS says how many mutants are tried; a hundred of each kind in everyday tests.
"""

import copy
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from archbench.errors import ArchbenchError
from archbench.host import default_host
from archbench.scans.planner import plan_scan
from archbench.spec.layers import read_spec
from archbench.spec.load import spec_from_yaml
from archbench.spec.yaml_loader import parse_yaml

NUM_MUTANTS = int(os.environ.get("ARCHBENCH_MUTATIONS", "120"))
COUNTED = {"experts", "hybrid", "modern", "zoo"}
"""Specs of other libraries' models: to plan one builds a hundred small models."""
SPECS = sorted(path for path in (Path(__file__).parents[2] / "specs").rglob("*.yaml") if path.stem not in COUNTED)

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 2**63, -(2**63), 10**400, 1e-300, 1e300, 0.5, "", " ", "x", "1e18x", "\u0000", "\n",
    "null", "é" * 300, "../..", "{}", [], [[]], [None], [0], {}, {"kind": None}, {"kind": "gpt2"}, {"kind": []},
    {"power_law": {"coefficient": 1e300, "exponent": 1e300}}, {"": ""}, ["a"] * 100,
)  # fmt: skip
TOKENS = (
    "{", "}", "[", "]", ":", ": ", "- ", "&a ", "*a", "!!x ", "!!int ", "'", '"', "|", ">", "\t", "\n", "%", "@", "#",
    "\\", "\x00", "\x07", "é", "\ufeff", "\u2028", "---\n", "...\n", "<<", "? ", ", ", "1e999", "~", "0x", "-",
)  # fmt: skip


def small(spec: Path, folder: Path) -> str:
    """`spec` with all that it extends, on a few small files, so that a mutant which is valid is planned in full."""
    tree = read_spec(spec).data
    tree["data"]["dataset"] = {"kind": "text_files", "paths": [str(folder / "*.txt")]}
    tree["data"]["tokenizer"] = {"kind": "bytes"}
    tree["data"]["max_epochs"] = 1e9
    return yaml.safe_dump(tree, sort_keys=False)


def mutate_text(text: str, draw: random.Random) -> str:
    """`text` with some of its characters or lines cut, doubled, swapped or replaced."""
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(text) + 1)
        end = min(len(text), place + draw.choice((0, 1, 1, 2, 5, 40)))
        match draw.randrange(5):
            case 0:
                text = text[:place] + text[end:]
            case 1:
                text = text[:end] + text[place:]
            case 2:
                text = text[:place] + draw.choice(TOKENS) + text[end:]
            case 3:
                lines = text.splitlines(keepends=True)
                draw.shuffle(lines)
                text = (
                    "".join(lines)
                    if draw.random() < 0.1
                    else text[:place] + chr(draw.randrange(1, 0x3000)) + text[end:]
                )
            case 4:
                lines = text.splitlines(keepends=True) or ["\n"]
                index = draw.randrange(len(lines))
                lines[index] = draw.choice((" ", "  ", "")) + lines[index].lstrip(" ")
                text = "".join(lines)
    return text


def mutate_tree(tree: Any, draw: random.Random) -> Any:
    """`tree` with one to three of its values or keys replaced, dropped or misspelt."""
    for _ in range(draw.randint(1, 3)):
        places = list(_places(tree))
        if not places:
            return tree
        parent, key = draw.choice(places)
        match draw.randrange(4):
            case 0 | 1:
                parent[key] = copy.deepcopy(draw.choice(STRANGE))
            case 2:
                del parent[key]
            case 3:
                if isinstance(parent, dict):
                    parent[draw.choice((f"{key}x", str(key)[1:], str(key).upper(), "kind", ""))] = parent.pop(key)
                else:
                    parent.append(copy.deepcopy(parent[key]))
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    items = list(tree.items()) if isinstance(tree, dict) else list(enumerate(tree)) if isinstance(tree, list) else []
    return [(tree, key) for key, _ in items] + [place for _, value in items for place in _places(value)]


def outcome_of(text: str, folder: Path) -> str:
    """`plan`, or the error's problems, one line each; anything else escapes and fails the test."""
    host = default_host()
    try:
        spec = spec_from_yaml(parse_yaml(text, Path("mutant.yaml")), host.registry)
        # Only local text is planned: a mutant must not send the test to the network or through all packages.
        if spec.data.dataset.kind != "text_files" or spec.data.tokenizer.kind != "bytes":
            return "spec"
        plan = plan_scan(spec, host, cache_dir=folder / "cache")
        assert plan.runs
    except ArchbenchError as error:
        problems, exit_code = error.problems, error.exit_code
    else:
        return "plan"
    assert problems
    for problem in problems:
        assert problem.strip()
        assert len(problem.splitlines()) == 1, problem
    assert exit_code in (2, 3, 4)
    return "\n".join(problems)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    for number in range(12):
        (folder / f"{number}.txt").write_text(f"{number} " + "a short text to be cut into tokens. " * 800)
    return folder


@pytest.mark.parametrize("sort", ["text", "tree"])
@pytest.mark.timeout(3600)
def test_no_mutant_of_a_bundled_spec_raises_anything_but_one_line(sort: str, folder: Path) -> None:
    outcomes = []
    for number in range(NUM_MUTANTS // 2):
        draw = random.Random(f"{sort}-{number}")
        text = small(draw.choice(SPECS), folder)
        mutant: Callable[[], str] = (
            (lambda text=text, draw=draw: mutate_text(text, draw))
            if sort == "text"
            else (lambda text=text, draw=draw: yaml.safe_dump(mutate_tree(yaml.safe_load(text), draw), sort_keys=False))
        )
        try:
            outcomes.append(outcome_of(mutant(), folder))
        except Exception as error:
            error.add_note(f"mutant {sort}-{number}")
            raise
    # Both ends are reached: mutants that still plan, and many different complaints.
    assert "plan" in outcomes
    assert len(set(outcomes)) > 20
