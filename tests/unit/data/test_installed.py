"""Datasets of installed packages: what is taken from a module, and that no package is imported for it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from archbench.builtins.text.installed import InstalledCodeConfig, InstalledDocsConfig, code_alone
from archbench.errors import DataError

SOURCE = '''"""Module documentation."""
# A comment.
import os  # another

def first(x="# no comment"):
    """First's documentation.

    Indented below.
    """
    return f"{x}#" + '#'  # gone


class Thing:
    r"""Only a docstring: \\d."""

    def method(self): "on one line"

    async def other(self):
        if self:
            def inner():
                """Inner's documentation."""
                return """# kept"""
        """Not a docstring."""

def copy():
    """Inner's documentation."""
    match 1:
        case 1:
            def deep():
                "Größe."; return 2
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "invented_package"
    (folder / "tests").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "module.py").write_text(SOURCE, encoding="utf-8")
    (folder / "again.py").write_text('"""Module documentation."""\ndef f():\n    """Only here."""\n')
    (folder / "template.py").write_text("{{ not_python }} %\n")
    (folder / "tests" / "test_it.py").write_text('"""Tests."""\n')
    (tmp_path / "invented_package-1.2.dist-info").mkdir()
    (tmp_path / "invented_package-1.2.dist-info" / "METADATA").write_text("Name: invented-package\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_docstrings_come_in_order_and_each_one_once(package: Path) -> None:
    texts = {document.id: document.text for document in InstalledDocsConfig(packages=("invented_package",)).documents()}
    assert set(texts) <= {"invented_package/module.py", "invented_package/again.py"}
    docstrings = "\n\n".join(text.rstrip("\n") for text in texts.values()).split("\n\n")
    assert sorted(docstrings) == sorted(
        [
            "Module documentation.",
            "First's documentation.",
            "Indented below.",
            "Only a docstring: \\d.",
            "on one line",
            "Inner's documentation.",
            "Größe.",
            "Only here.",
        ]
    )
    inside = texts["invented_package/module.py"]
    assert inside.index("First's") < inside.index("Only a docstring") < inside.index("Inner's") < inside.index("Größe")


def test_code_keeps_its_syntax_tree_without_docstrings_and_comments() -> None:
    alone = code_alone(SOURCE, ast.parse(SOURCE))
    assert alone.splitlines()[:4] == [
        "import os",
        'def first(x="# no comment"):',
        "    return f\"{x}#\" + '#'",
        "class Thing:",
    ]
    for gone in ("documentation", "A comment", "another", "gone", "on one line", "Größe", "\n\n"):
        assert gone not in alone
    assert '"""# kept"""' in alone
    assert '"""Not a docstring."""' in alone
    assert _without_docstrings(ast.parse(SOURCE)) == _without_docstrings(ast.parse(alone))


@pytest.mark.parametrize("module", ["json.decoder", "argparse", "inspect", "tokenize", "typing", "difflib"])
def test_code_of_the_standard_library_keeps_its_syntax_tree(module: str) -> None:
    import importlib.util

    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    tree = ast.parse(source)
    alone = code_alone(source, tree)
    assert len(alone) < len(source)
    assert _without_docstrings(tree) == _without_docstrings(ast.parse(alone))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("parser.py", "# Generated from Grammar.g4 by ANTLR 4.11\n" + "def rule(self):\n    return self.next()\n" * 9),
        ("table.py", "TABLE = [\n" + "    (0.11270166537926, 0.27777777777778),\n" * 9 + "]\n"),
        ("newdocs.py", 'add_newdoc("sin", "Sine of x.")\n' + 'add_newdoc("cos", "Cosine of x, in radians.")\n' * 3),
        ("benchmarks/bench.py", "def time_it(run):\n    return run(run)\n"),
    ],
)
def test_code_that_nobody_wrote_as_a_program_is_left_out(package: Path, name: str, source: str) -> None:
    dataset = InstalledCodeConfig(packages=("invented_package",))
    before = list(dataset.documents())
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text(source)
    assert list(dataset.documents()) == before
    (package / "program.py").write_text("def run(step):\n    return step(step)\n")
    assert {document.id for document in dataset.documents()} == {
        *(document.id for document in before),
        "invented_package/program.py",
    }


def test_limit_bytes_takes_the_first_modules_of_the_whole() -> None:
    whole = InstalledCodeConfig(packages=("networkx",), limit_bytes=60_000)
    part = InstalledCodeConfig(packages=("networkx",), limit_bytes=20_000)
    ids, some = ([document.id for document in config.documents()] for config in (whole, part))
    assert some == ids[: len(some)]
    sizes = [len(document.text.encode()) for document in part.documents()]
    assert sum(sizes) >= 20_000 > sum(sizes[:-1])


def test_the_default_packages_come_with_archbench_and_give_english() -> None:
    config = InstalledDocsConfig(limit_bytes=300_000)
    assert len(config.cache_key()) > 100  # each package has a version
    words = " ".join(document.text for document in config.documents()).split()
    # In running English "the" is every 15th to 30th word; docstrings hold lists and code as well.
    assert 0.02 < words.count("the") / len(words) < 0.1


def test_a_missing_package_is_named(package: Path) -> None:
    config = InstalledDocsConfig(packages=("invented_package", "no_such_package"))
    with pytest.raises(DataError, match=r"'no_such_package' is not an installed package; install it, or name others"):
        list(config.documents())
    with pytest.raises(DataError, match=r"no distribution is called 'no_such_package'"):
        config.cache_key()


def test_the_cache_key_holds_the_version(package: Path) -> None:
    config = InstalledDocsConfig(packages=("invented_package",))
    before = config.cache_key()
    metadata = package.parent / "invented_package-1.2.dist-info" / "METADATA"
    metadata.write_text("Name: invented-package\nVersion: 1.3\n")
    assert "1.2" in before
    assert config.cache_key() != before


def test_reading_packages_and_preparing_a_corpus_imports_none_of_them(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from archbench.builtins.text.plugin import register_datasets, register_tokenizers
from archbench.builtins.objectives.plugin import register_objectives
from archbench.builtins.text.installed import InstalledDocsConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig
from archbench.data.prepare import prepare_corpus
register_datasets(), register_tokenizers(), register_objectives()
assert not {{"tokenizers", "datasets", "pyarrow", "filelock"}} & set(sys.modules)
prepare_corpus(InstalledDocsConfig(limit_bytes=30000), BpeTokenizerConfig(vocab_size=300), validation_fraction=0.2,
               cache_dir=Path({str(tmp_path)!r}))
assert not {{"torch", "transformers", "sympy", "scipy", "pandas", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def _without_docstrings(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and getattr(statement.value, "value", None) is Ellipsis)
            ]
    return ast.dump(tree)
