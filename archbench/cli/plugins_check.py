"""`archbench plugins check`: whether a plug-in keeps its promises, and where to mend it."""

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from archbench.cli.common import cache_option, json_option, note, print_json, wrapped
from archbench.cli.outputs.plugins import CheckOutput, CheckRow
from archbench.cli.terminal import echo
from archbench.errors import PluginError
from archbench.extras import require, require_training

if TYPE_CHECKING:
    from archbench.testing.plugin_check.findings import Finding
    from archbench.testing.plugin_check.target import Target

_MARKS = {"passed": "[ok]  ", "failed": "[FAIL]", "skipped": "[--]  "}


@click.command("check")
@click.argument("target", metavar="NAME_OR_PATH")
@click.option("--no-train", is_flag=True, help="Leave out the scan of about two minutes against GPT-2.")
@click.option(
    "--limit",
    "limit_seconds",
    type=click.FloatRange(min=1),
    default=180.0,
    show_default=True,
    help="Seconds after which a single check is taken to hang.",
)
@cache_option
@json_option
@click.pass_context
def check_plugin(
    ctx: click.Context, target: str, no_train: bool, limit_seconds: float, cache_dir: Path, as_json: bool
) -> None:
    """Check architectures, objectives, tokenizers: conformance, ladder, a short scan.

    NAME_OR_PATH is an installed plug-in or distribution, a folder with a pyproject.toml (installed or not), or one
    module, ./my_arch.py. The plug-in runs in processes of its own: one that crashes or hangs is a finding. Exit code 3
    where something is to be mended.
    """
    require_training("`archbench plugins check` trains models")
    require("the conformance suite runs under pytest", "pytest")
    from archbench.testing.plugin_check.target import find_target

    tell = _silent if as_json else _print
    with tempfile.TemporaryDirectory(prefix="archbench-check-") as scratch:
        found = find_target(target, Path(scratch) / "announced")
        if not as_json:
            echo(f"checking {found.title}")
        findings = _findings(found, Path(scratch), limit_seconds, None if no_train else cache_dir.resolve(), tell)
    counts = Counter(finding.outcome.value for finding in findings)
    if as_json:
        rows = [CheckRow(one.check, one.outcome.value, one.problem, one.where) for one in findings]
        print_json(CheckOutput(found.title, dict(counts), rows))
    else:
        echo(f"{counts['passed']} passed, {counts['skipped']} skipped, {counts['failed']} to mend")
    ctx.exit(PluginError.exit_code if counts["failed"] else 0)


def _findings(
    target: "Target", scratch: Path, limit_seconds: float, cache_dir: Path | None, tell: Callable[["Finding"], None]
) -> list["Finding"]:
    """Of the child process, and of a scan of each architecture if there is a cache for its text."""
    from archbench.testing.plugin_check.mini_scan import MiniScan, run_mini_scan
    from archbench.testing.plugin_check.supervisor import check_in_child

    checked = check_in_child(target, limit_seconds=limit_seconds, scratch=scratch, tell=tell)
    findings = list(checked.findings)
    if cache_dir is None:
        return findings
    for kind, causal in checked.architectures.items():
        scan = MiniScan(kind, causal, scratch / f"scan-{kind}")
        note(f"training {kind} against {scan.baseline} at three sizes, about two minutes")
        trained = run_mini_scan(scan, target, cache_dir=cache_dir, tell=_note_run)
        for finding in trained:
            tell(finding)
        findings += trained
    return findings


def _note_run(line: str) -> None:
    """Of what the scan prints, the ends of its runs."""
    if ": done, " in line or "failed" in line or "diverged" in line:
        note(f"  {line}")


def _print(finding: "Finding") -> None:
    echo(f"{_MARKS[finding.outcome.value]} {finding.check}")
    if finding.problem:
        echo(wrapped(f"         {finding.problem}"))
    if finding.where:
        echo(f"         at {finding.where}")


def _silent(finding: "Finding") -> None:
    """Nothing: all findings are printed together."""
