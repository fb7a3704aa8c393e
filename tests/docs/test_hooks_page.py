"""docs/hooks.md tells every hook as it is, and each of its examples is loaded and used."""

import ast
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from archbench import hookspecs
from archbench.builtins.execution.local import LocalExecutorConfig
from archbench.contracts.executor import Ended, ExecutorConfig, Job
from archbench.contracts.report import ScanResults
from archbench.host import Host, load_host
from archbench.results.runs import RunRecord, RunState
from archbench.testing.synthetic import SyntheticLaw, SyntheticScan, synthetic_records

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hooks.md").read_text()
GOLDEN = ROOT / "tests" / "golden" / "hook_signatures.txt"
HOOKS = {name for name, item in vars(hookspecs).items() if hasattr(item, "archbench_spec")}


def signatures() -> dict[str, str]:
    """Hook -> its signature as written in hookspecs.py."""
    module = ast.parse(Path(hookspecs.__file__).read_text())
    found = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name in HOOKS:
            assert node.returns is not None
            found[node.name] = f"def {node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
    return found


def sections() -> dict[str, tuple[str, str, str]]:
    """Hook -> (file name, signature, example) of its section on the page."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        heading = re.match(r"`(\w+)`: (\w+\.py)\n", section)
        blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
        if heading is not None:
            assert len(blocks) == 2, f"{heading[1]}: expected a signature and an example"
            found[heading[1]] = (heading[2], blocks[0].strip(), blocks[1])
    return found


def test_the_page_has_every_hook_with_its_exact_signature() -> None:
    assert {hook: signature for hook, (_, signature, _) in sections().items()} == signatures()


def test_every_signature_is_the_one_on_record_for_this_version() -> None:
    """A hook that changes raises HOOK_API_VERSION; one that is new is only added to the golden file."""
    version, *lines = GOLDEN.read_text().splitlines()
    first_results = {name for name in HOOKS if getattr(hookspecs, name).archbench_spec["firstresult"]}
    now = {
        name: signature + ("  # firstresult" if name in first_results else "")
        for name, signature in signatures().items()
    }
    recorded = {match[1]: line for line in lines if (match := re.match(r"def (\w+)\(", line)) is not None}
    assert len(recorded) == len(lines)
    changed = {name for name, line in recorded.items() if now.get(name) != line}
    if changed:
        assert version != f"HOOK_API_VERSION {hookspecs.HOOK_API_VERSION}", (
            f"{sorted(changed)} changed: raise HOOK_API_VERSION, then write {GOLDEN.name} and docs/hooks.md anew"
        )
    assert version == f"HOOK_API_VERSION {hookspecs.HOOK_API_VERSION}", f"write {GOLDEN.name} anew"
    assert recorded == now, f"write {GOLDEN.name} anew"


def test_the_page_names_the_version() -> None:
    assert f"`HOOK_API_VERSION`, now {hookspecs.HOOK_API_VERSION}, rises" in PAGE


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that holds every example under the name in its heading."""
    for name, _, text in sections().values():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def host_of(examples: Path, *hooks: str) -> Host:
    files = [examples / sections()[hook][0] for hook in hooks]
    host = load_host(files=files)
    for file in files:
        info = host.info(str(file))
        assert info is not None
        assert info.failures == []
    return host


def architecture(examples: Path) -> None:
    from archbench.api import Attention
    from archbench.testing.architecture import ArchitectureConformance

    registered = host_of(examples, "register_architectures").registry.architectures["average_attention"]
    suite = ArchitectureConformance()
    suite.config = registered.config()  # type: ignore[misc]
    suite.test_source_is_stated()
    suite.test_importing_and_planning_load_no_torch()
    suite.test_analytic_parameters_equal_the_built_modules(Attention.CAUSAL)
    suite.test_analytic_flops_equal_the_counted_ones(Attention.CAUSAL)
    suite.test_causality_by_gradient(Attention.CAUSAL)
    suite.test_untrained_loss_is_near_ln_v(Attention.CAUSAL)


def objective(examples: Path) -> None:
    from archbench.testing.objective import ObjectiveConformance

    registered = host_of(examples, "register_objectives").registry.objectives["two_ahead"]
    suite = ObjectiveConformance()
    suite.config = registered.config()  # type: ignore[misc]
    for name in dir(suite):
        if name.startswith("test_") and name != "test_every_token_is_predicted_once_where_promised":
            getattr(suite, name)()


def optimizer(examples: Path) -> None:
    from archbench.testing.optimizer import OptimizerConformance

    registered = host_of(examples, "register_optimizers").registry.optimizers["lion"]
    suite = OptimizerConformance()
    suite.config = registered.config()  # type: ignore[misc]
    for name in dir(suite):
        if name.startswith("test_"):
            getattr(suite, name)()


def dataset(examples: Path) -> None:
    from archbench.errors import DataError

    (examples / "text.txt").write_text("one\ntwo\n")
    config = host_of(examples, "register_datasets").registry.datasets["lines"].config
    lines = config.model_validate({"kind": "lines", "file": "text.txt"})
    lines.stands_in(examples)
    assert [(document.id, document.text) for document in lines.documents()] == [("0", "one"), ("1", "two")]
    assert lines.cache_key() is not None
    with pytest.raises(DataError, match=r"gone.txt: No such file"):
        list(config.model_validate({"kind": "lines", "file": "gone.txt"}).documents())


def tokenizer(examples: Path) -> None:
    from archbench.data.prepare import prepare_corpus
    from archbench.testing.small_runs import write_small_text

    registry = host_of(examples, "register_tokenizers").registry
    config = registry.tokenizers["ascii"].config()
    ascii_tokens = config.prepare(())
    (ids,) = ascii_tokens.encode_batch(["naïve"])
    assert ids.tolist() == [110, 97, 128, 118, 101]
    assert ascii_tokens.decode(ids.tolist()) == "na?ve"
    text = registry.datasets["text_files"].config.model_validate(
        {"kind": "text_files", "paths": [str(write_small_text(examples / "text.jsonl"))]}
    )
    corpus = prepare_corpus(text, config, validation_fraction=0.2, cache_dir=examples / "cache")
    assert corpus.text_vocab_size == 130


def executor(examples: Path) -> None:
    from archbench.testing.small_runs import plan_small_run, small_corpus

    registry = host_of(examples, "register_executors").registry
    directory = plan_small_run(examples / "runs", small_corpus(examples / "corpus", registry), registry)
    with registry.executors["one_by_one"].config().open(num_jobs=1, log_dir=examples / "logs") as opened:
        opened.submit(Job(directory.path.name, directory.path, 1.0))
        events: list[Any] = []
        while not events:
            events += opened.poll(1.0)
        assert events == [Ended(directory.path.name, RunState.DONE)], (examples / "logs" / "one_by_one.log").read_text()
        assert opened.poll(0.01) == []


def tracker(examples: Path) -> None:
    from archbench.scans.tracking import Tracking

    config = host_of(examples, "register_trackers").registry.trackers["table"].config()
    told: list[str] = []
    tracking = Tracking([config], scan="demo", folder=examples)
    with tracking.telling(told.append):
        for record in records():
            tracking.run_ended(record)
    assert told == []
    assert len((examples / "table" / "demo.tsv").read_text().splitlines()) == len(records())


def run_reader(examples: Path) -> None:
    from archbench.cli.import_runs import import_runs
    from archbench.errors import SpecError
    from archbench.runs.store import RunStore

    host_of(examples, "register_run_readers")
    logs = [examples / "small.tabbed", examples / "large.tabbed"]
    for log, params in zip(logs, ("10000", "20000"), strict=True):
        log.write_text(f"-1\tn\t{params}\n0\tval_loss\t5.5\n50\tloss\t3.9\n100\tval_loss\t3.5\n")
    words = ["--params", "n", "--batch-tokens", "1000", "--arch", "gpt2", "--param-convention", "total"]
    words += ["--track", "causal", "--plugin", "tabbed_log.py", "--name", "logs", "--runs", "store"]
    answer = CliRunner().invoke(import_runs, [*map(str, logs), *words])
    assert answer.exit_code == 0, answer.output
    assert "read as tabbed_log" in answer.output
    records, problems = (store := RunStore(examples / "store")).records(store.scan("logs"))
    assert not problems
    curves = {one.non_embedding_params: [(p.tokens, p.validation_loss_nats) for p in one.curve] for one in records}
    assert curves == {10_000: [(100_000, 3.5)], 20_000: [(100_000, 3.5)]}
    logs[0].write_text("1\t2\n")
    assert isinstance(CliRunner().invoke(import_runs, [str(logs[0]), *words]).exception, SpecError)


def study(examples: Path) -> None:
    from archbench.analysis.studies import analyse_studies

    registry = host_of(examples, "register_studies").registry
    assert "study_context" in registry.report_sections.entries
    tokens = 3e6
    runs = []
    for number, context in enumerate((16, 32, 64, 128)):
        (run, *_) = synthetic_records("gpt2", SyntheticLaw(noise_std=0.0))
        loss = (1e5 / context) ** 0.1
        curve = tuple(dataclasses.replace(point, validation_loss_nats=loss) for point in run.curve)
        of_study = {"study": "contexts", "labels": {"context": str(context)}, "run_id": f"{number:064d}"}
        runs.append(dataclasses.replace(run, curve=curve, final=None, **of_study))
    spec = {"studies": {"contexts": {"kind": "context_scan", "contexts": [16, 32, 64, 128], "tokens": tokens}}}
    found = analyse_studies(runs, spec, registry.studies)["contexts"]
    ((one,), (said,)) = (found.results, found.sentences)  # type: ignore[misc]
    assert one.law.params["alpha_T"] == pytest.approx(0.1, rel=1e-6)
    assert said.startswith("gpt2, contexts: L(T) has alpha_T 0.1")


def report_section(examples: Path) -> None:
    section = host_of(examples, "register_report_sections").registry.report_sections["longest_runs"].config()
    text = section.render(results(), examples)
    assert text is not None
    assert text.count("* gpt2, N 40,000") == 1
    assert len(text.splitlines()) == 3


def selection(examples: Path) -> None:
    host = host_of(examples, "register_executors", "select_executor")
    chosen = host.first_result("select_executor", ExecutorConfig, num_jobs=1)
    assert chosen is not None
    assert chosen.kind == "one_by_one"
    assert isinstance(host.first_result("select_executor", ExecutorConfig, num_jobs=2), LocalExecutorConfig)


def finished_run(examples: Path) -> None:
    host = host_of(examples, "run_finished")
    (done, *_) = records()
    failed = dataclasses.replace(done, state=RunState.FAILED, reason="no memory")
    for record in (done, failed):
        host.notify("run_finished", record=record)
    assert (examples / "failures.txt").read_text() == f"{done.run_id} failed: no memory\n"


def finished_scan(examples: Path) -> None:
    host_of(examples, "scan_finished").notify("scan_finished", results=results())
    ends = [run.curve[-1] for run in records() if run.contender == "gpt2"]
    cost, loss = (np.log([getattr(end, key) for end in ends]) for key in ("exact_flops", "validation_loss_nats"))
    written = json.loads((examples / "demo.exponents.json").read_text())
    assert written["gpt2"] == pytest.approx(-np.polyfit(cost, loss, 1)[0], rel=1e-6)


def commands(examples: Path) -> None:
    group = click.Group()
    host_of(examples, "register_commands").notify("register_commands", cli=group)
    answer = CliRunner().invoke(group, ["perplexity", "0.6931472"])
    assert answer.output == "2\n"


EXERCISES: dict[str, Callable[[Path], None]] = {
    "register_architectures": architecture,
    "register_objectives": objective,
    "register_optimizers": optimizer,
    "register_datasets": dataset,
    "register_tokenizers": tokenizer,
    "register_executors": executor,
    "register_trackers": tracker,
    "register_run_readers": run_reader,
    "register_studies": study,
    "register_report_sections": report_section,
    "select_executor": selection,
    "run_finished": finished_run,
    "scan_finished": finished_scan,
    "register_commands": commands,
}


def test_every_hook_has_an_example_that_is_used_here() -> None:
    assert set(EXERCISES) == set(sections()) == HOOKS


TRAINS = {"register_executors"}


@pytest.mark.parametrize(
    "hook", [pytest.param(hook, marks=[pytest.mark.slow] if hook in TRAINS else []) for hook in sorted(EXERCISES)]
)
def test_the_example_works(hook: str, examples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(examples / "state"))
    EXERCISES[hook](examples)


def records() -> list[RunRecord]:
    return synthetic_records("gpt2", SyntheticLaw(), SyntheticScan(sizes=(10_000, 20_000, 40_000), seeds=(1, 1, 1)))


def results() -> ScanResults:
    from archbench.analysis.frontier.scan import analyse_scan

    runs = tuple(records())
    frontiers, comparisons = analyse_scan(runs, baseline="gpt2")
    return ScanResults(
        name="demo",
        description="",
        baseline="gpt2",
        records=runs,
        frontiers=frontiers,
        comparisons=comparisons,
        spec={},
        environment={},
    )
