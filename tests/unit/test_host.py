"""Discovery and containment: a broken plug-in is listed and named, and never in the way of the others."""

import importlib.metadata
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archbench.containment import kept_around
from archbench.errors import PluginError
from archbench.host import OWN_COMMANDS, Host, blamed, command_host, default_host, load_host
from archbench.process_settings import changed_settings, process_settings
from archbench.results.runs import RunRecord, RunState

HEADER = """
from typing import ClassVar, Literal
from archbench.api import *
from archbench.api import hookimpl
"""

DATASET = """
class {name}(DatasetConfig):
    kind: Literal["{kind}"] = "{kind}"
    def documents(self):
        yield Document("1", "text")
"""

WORKING = (
    HEADER
    + DATASET.format(name="Working", kind="working")
    + """
@hookimpl
def register_datasets():
    return [Working]
"""
)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path; modules imported from it are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def host_of(folder: Path, **sources: str) -> Host:
    """A host of one plug-in per source text, in the order of their names."""
    entry_points = []
    for name, source in sources.items():
        (folder / f"plugin_{name}.py").write_text(source)
        entry_points.append(importlib.metadata.EntryPoint(name, f"plugin_{name}", "archbench"))
    return load_host(entry_points)


def failures(host: Host, name: str) -> str:
    info = host.info(name)
    assert info is not None
    return " | ".join(info.failures)


def test_a_plugin_that_works_is_registered_with_its_origin(modules: Path) -> None:
    host = host_of(modules, good=WORKING)
    registered = host.registry.datasets["working"]
    assert registered.plugin == "good"
    assert registered.config.kind_name() == "working"
    assert failures(host, "good") == ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import no_such_module_anywhere", "import: ModuleNotFoundError"),
        ("def broken(:", "import: SyntaxError"),
        ("raise SystemExit(3)", "import: SystemExit"),
        ("class Own(BaseException): pass\nraise Own('escapes')", "import: Own: escapes"),
        (HEADER + "@hookimpl\ndef register_datasets():\n    raise RuntimeError('out of order')\n", "out of order"),
        (HEADER + "@hookimpl\ndef register_datasets():\n    raise SystemExit(0)\n", "register_datasets: SystemExit"),
        (HEADER + "@hookimpl\ndef register_datasets():\n    return [int]\n", "expected subclasses of DatasetConfig"),
        (HEADER + "@hookimpl\ndef register_datasets():\n    return 7\n", "register_datasets: TypeError"),
        (
            HEADER + "class Empty(DatasetConfig):\n    kind: Literal['e'] = 'e'\n"
            "@hookimpl\ndef register_datasets():\n    return [Empty]\n",
            "Empty lacks documents",
        ),
        (
            HEADER + "class Nameless(DatasetConfig):\n    def documents(self): yield\n"
            "@hookimpl\ndef register_datasets():\n    return [Nameless]\n",
            "must declare `kind",
        ),
        (
            WORKING.replace("    def documents", "    odd: Odd = Odd()\n    def documents").replace(
                HEADER, HEADER + "class Odd: ...\n"
            ),
            "register_datasets: PydanticSchemaGenerationError",
        ),
        (HEADER + "@hookimpl\ndef register_dataset():\n    return []\n", "did you mean 'register_datasets'?"),
        (
            WORKING.replace("@hookimpl", ""),
            "register: PluginError: register_datasets is not marked",
        ),
        (
            WORKING + "def run_finished(record): ...\n",
            "run_finished is not marked, so that nobody",
        ),
        (
            HEADER + "def register_dataset():\n    return []\n",
            "has no hook, so that it offers nothing",
        ),
        (HEADER + "@hookimpl\ndef register_datasets(what):\n    return []\n", "register: PluginValidationError"),
    ],
)
def test_a_broken_plugin_is_listed_and_the_others_work(modules: Path, source: str, expected: str) -> None:
    host = host_of(modules, bad=source, good=WORKING)
    assert expected in failures(host, "bad")
    assert host.registry.datasets["working"].plugin == "good"


def test_a_plugin_refused_at_validation_leaves_none_of_its_hooks_behind(modules: Path) -> None:
    source = WORKING + "\n@hookimpl\ndef no_such_hook():\n    return []\n"
    host = host_of(modules, half=source)
    assert not host.manager.has_plugin("half")
    assert not host.registry.datasets.entries


def test_the_later_component_of_the_same_name_is_refused(modules: Path) -> None:
    host = host_of(modules, a_first=WORKING, b_second=WORKING)
    assert host.registry.datasets["working"].plugin == "a_first"
    assert "'working' is already registered by 'a_first'" in failures(host, "b_second")


def test_a_missing_component_is_reported_with_the_nearest_name_and_the_plugins_that_failed(modules: Path) -> None:
    host = host_of(modules, bad="raise ValueError('no licence')", good=WORKING)
    with pytest.raises(PluginError) as caught:
        host.registry.datasets["workin"]
    assert "dataset 'workin' is not registered; did you mean 'working'?" in str(caught.value)
    assert "plug-in 'bad' failed: import: ValueError: no licence" in str(caught.value)
    assert caught.value.exit_code == 3


def test_an_observer_that_raises_is_noted_and_the_others_are_told(modules: Path) -> None:
    told = HEADER + "seen = []\n@hookimpl\ndef run_finished(record):\n    seen.append(record.run_id)\n"
    raising = HEADER + "@hookimpl\ndef run_finished(record):\n    raise OSError('full')\n"
    host = host_of(modules, a_told=told, b_raising=raising)
    host.notify("run_finished", record=a_record())
    assert "run_finished: OSError: full" in failures(host, "b_raising")
    assert sys.modules["plugin_a_told"].seen == ["0123"]


def test_a_choosing_hook_passes_over_failures_and_wrong_types(modules: Path) -> None:
    from archbench.contracts.executor import ExecutorConfig

    raising = HEADER + "@hookimpl\ndef select_executor(num_jobs):\n    raise ValueError('no queue')\n"
    wrong = HEADER + "@hookimpl\ndef select_executor():\n    return 'local'\n"
    host = host_of(modules, a_raising=raising, b_wrong=wrong)
    assert host.first_result("select_executor", ExecutorConfig, num_jobs=1) is None
    assert "no queue" in failures(host, "a_raising")
    assert "returned str, expected ExecutorConfig or None" in failures(host, "b_wrong")


def test_what_a_plugin_changes_is_put_back_and_noted(modules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWN", "before")
    monkeypatch.chdir(modules)
    source = "import os\nos.environ.update(KNOWN='after', NEW='1')\nos.chdir('/')\n" + WORKING
    host = host_of(modules, meddling=source)
    info = host.info("meddling")
    assert info is not None
    assert info.notes == [
        "import: changed the environment (KNOWN, NEW), which was put back",
        "import: changed the working directory, which was put back",
    ]
    assert (os.environ["KNOWN"], "NEW" in os.environ, Path.cwd()) == ("before", False, modules)
    assert info.registered == {"dataset": ["working"]}


SETTINGS = {
    "the recursion limit": "sys.setrecursionlimit(789)",
    "signal handlers": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "the alarm clock": "signal.setitimer(signal.ITIMER_REAL, 3600.0)",
    "logging": "logging.disable(50); logging.root.setLevel(1); logging.root.addHandler(logging.NullHandler())",
    "warnings, which it made errors": "warnings.simplefilter('error')",
    "hooks for exceptions": "sys.excepthook = print",
    "standard streams": "sys.stderr = None",
    "built-in functions": "builtins.ascii = repr",
    "garbage collection": "gc.disable()",
    "tracing": "sys.setprofile(lambda *event: None)",
    "the locale": "locale.setlocale(locale.LC_ALL, 'C' if locale.setlocale(locale.LC_ALL) != 'C' else 'C.UTF-8')",
    "the umask": "os.umask(0o777)",
    "limits of the process": "resource.setrlimit(7, (64, resource.getrlimit(7)[1]))",
    "the cores that it may use": "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
    "the default timeout of sockets": "socket.setdefaulttimeout(0.001)",
    "numpy's treatment of errors": "numpy.seterr(all='raise')",
}
IMPORTS = "import builtins, gc, locale, logging, numpy, os, resource, signal, socket, sys, warnings\n"


def test_every_setting_that_is_looked_at_is_tried() -> None:
    assert SETTINGS.keys() == process_settings().keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_of_the_process_that_a_plugin_changes_is_put_back_and_noted(modules: Path, name: str) -> None:
    if name == "the cores that it may use" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one core: it cannot be taken away")
    timer = signal.setitimer(signal.ITIMER_REAL, 0.0)  # of whoever limits the time of tests
    before = process_settings()
    info = host_of(modules, meddling=IMPORTS + SETTINGS[name] + "\n" + WORKING).info("meddling")
    changed = changed_settings(before)
    signal.setitimer(signal.ITIMER_REAL, *timer)
    assert info is not None
    assert changed == []
    assert info.notes == [f"import: changed {name}, which was put back"]
    assert info.registered == {"dataset": ["working"]}


def test_a_component_at_work_has_its_changes_put_back_too(modules: Path) -> None:
    source = IMPORTS + WORKING.replace("yield Document", "sys.setrecursionlimit(787); yield Document")
    host = host_of(modules, meddling=source)
    dataset = host.registry.datasets["working"].config.model_validate({})
    told: list[str] = []
    with kept_around(dataset, told.append):
        assert len(list(dataset.documents())) == 1
    assert told == ["changed the recursion limit, which was put back"]
    with host.kept("meddling", "size 1"):
        sys.setrecursionlimit(5000)
    assert sys.getrecursionlimit() != 5000
    info = host.info("meddling")
    assert info is not None
    assert info.notes == ["size 1: changed the recursion limit, which was put back"]


def test_a_plugin_that_takes_long_is_named_while_it_does(
    modules: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("archbench.containment.SLOW_SECONDS", 0.05)
    host_of(modules, slow="import time\ntime.sleep(0.5)\n" + WORKING)
    assert "plug-in 'slow' (import) has not come back" in capfd.readouterr().err


def test_only_the_plugins_of_given_distributions_are_loaded(modules: Path) -> None:
    path = modules / "my_data.py"
    path.write_text(WORKING)
    (modules / "plugin_hangs.py").write_text("raise AssertionError('not to be imported')")
    entry_points = [importlib.metadata.EntryPoint("hangs", "plugin_hangs", "archbench")]
    host = load_host(entry_points, files=[path], distributions={"file"})
    assert [info.name for info in host.plugins] == [str(path)]
    assert not load_host(entry_points, files=[path], distributions=()).plugins


def test_an_error_is_blamed_on_the_plugin_in_whose_code_it_arose(modules: Path) -> None:
    path = modules / "my_data.py"
    path.write_text(WORKING.replace('yield Document("1", "text")', "return 1 / 0"))
    host = load_host([], files=[path])
    with pytest.raises(ZeroDivisionError) as caught:
        host.registry.datasets["working"].config().documents()
    assert blamed(caught.value) == str(path)
    assert blamed(ValueError()) is None


def test_a_plugin_can_be_given_as_a_file(modules: Path) -> None:
    path = modules / "my_data.py"
    path.write_text(WORKING)
    host = load_host([], files=[path])
    assert host.registry.datasets["working"].distribution == "file"


def a_record() -> RunRecord:
    return RunRecord(
        run_id="0123",
        contender="c",
        architecture="a",
        objective="o",
        track="causal",
        size_index=0,
        non_embedding_params=1,
        embedding_params=1,
        seed=0,
        batch_tokens=1,
        planned_tokens=1,
        unique_tokens=1,
        state=RunState.DONE,
        curve=(),
    )


def test_only_one_of_archbenchs_own_plug_ins_adds_commands() -> None:
    """`--help` imports that one alone, and all strangers'."""
    manager = default_host().manager
    own = {info.name for info in default_host().plugins if info.own}
    adding = {one.plugin_name for one in manager.hook.register_commands.get_hookimpls()}
    assert adding & own == {OWN_COMMANDS}
    assert {info.name for info in command_host().plugins if info.own} == {OWN_COMMANDS}
