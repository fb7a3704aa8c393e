"""A scan of about two minutes: three sizes of an architecture against a baseline, by the ordinary command."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archbench.errors import StoreError
from archbench.results.runs import RunRecord, size_number
from archbench.runs.store import RunStore
from archbench.testing.plugin_check.findings import Finding, Outcome
from archbench.testing.plugin_check.supervisor import end_group, environment_of
from archbench.testing.plugin_check.target import Target
from archbench.units import human_seconds

LIMIT_SECONDS = 1800.0
"""After which the scan is ended; on two idle cores it takes about two minutes, and longer beside other work."""

_LEARNT_NATS = 0.5
"""Least fall of the validation loss from its first to its last evaluation; GPT-2 falls by two nats here."""

_LEAK_NATS = 1e-3
"""Gain from later tokens in the prefix audit that rounding does not explain: it is below 1e-6 for honest models."""

_SPEC = """\
name: {name}
description: {kind} against {baseline}, a look of two minutes
baseline: {baseline}
contenders:
  {baseline}: {{architecture: {{kind: {baseline}}}}}
  {contender}: {{architecture: {{kind: {kind}}}}}
objective: {{kind: {objective}}}
data: {{dataset: {{kind: installed_docs}}, tokenizer: {{kind: bytes}}, order: stream}}
scan: {{sizes: [1e4, 2e4, 4e4], seeds: {{default: 1, smallest_two: 1}}, tokens: 2e5}}
training: {{seq_len: 64, batch_tokens: 1024, learning_rate: 3e-3, schedule: {{kind: cosine, warmup_steps: 20}}}}
evaluation: {{tokens: 16384, points: 12, prefix_audit_positions: 64}}
"""


@dataclass(frozen=True, slots=True)
class MiniScan:
    """What is trained, and where."""

    kind: str
    causal: bool
    folder: Path

    @property
    def objective(self) -> str:
        """The objective's kind."""
        return "causal_lm" if self.causal else "masked_lm"

    @property
    def baseline(self) -> str:
        """GPT-2; BERT for an architecture that cannot attend causally."""
        return "gpt2" if self.causal else "bert"

    @property
    def contender(self) -> str:
        """Its name in the scan, which is not the baseline's."""
        return "checked" if self.kind == self.baseline else self.kind

    def spec(self) -> str:
        """The spec's text."""
        return _SPEC.format(
            name="check", kind=self.kind, contender=self.contender, baseline=self.baseline, objective=self.objective
        )


def run_mini_scan(scan: MiniScan, target: Target, *, cache_dir: Path, tell: Callable[[str], None]) -> list[Finding]:
    """Trains the scan and judges its runs; `tell` gets each line of its progress."""
    scan.folder.mkdir(parents=True)
    spec = scan.folder / "check.yaml"
    spec.write_text(scan.spec(), encoding="utf-8")
    check = f"{scan.kind}: mini scan against {scan.baseline}"
    ended = _train(spec, scan, target, cache_dir, tell)
    store = RunStore(scan.folder / "runs")
    try:
        records, problems = store.records(store.scan("check"))
    except StoreError as error:
        return [Finding(check, Outcome.FAILED, f"{ended or 'no runs were stored'}; {error}")]
    findings = [finding for record in records if record.contender == scan.contender for finding in _judge(scan, record)]
    if ended is not None:
        findings.append(Finding(check, Outcome.FAILED, ended))
    findings += [Finding(check, Outcome.FAILED, problem) for problem in problems]
    return findings + list(_side_by_side(scan, records))


def _train(spec: Path, scan: MiniScan, target: Target, cache_dir: Path, tell: Callable[[str], None]) -> str | None:
    """Runs the command; why it did not end well, or None."""
    command = [sys.executable, "-m", "archbench.cli.main", "run", str(spec), "--cache", str(cache_dir)]
    for name in ("runs", "reports", "leaderboard"):
        command += [f"--{name}", str(scan.folder / name)]
    for file in target.files:
        command += ["--plugin", str(file)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The journal of this machine holds what somebody wanted to know.
        env=environment_of(target) | {"XDG_STATE_HOME": str(scan.folder)},
        cwd=scan.folder,
        start_new_session=True,
    )
    deadline = threading.Timer(LIMIT_SECONDS, end_group, (process.pid,))
    deadline.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            tell(lines[-1])
        code = process.wait()
    finally:
        deadline.cancel()
        end_group(process.pid)
    if code == -signal.SIGKILL:
        return f"expected to end within {human_seconds(LIMIT_SECONDS)}, and was ended"
    told = next((line for line in reversed(lines) if line.startswith("archbench:")), "")
    return None if code in (0, 1) else f"`archbench run` ended with exit code {code}: {told}"


def _judge(scan: MiniScan, record: RunRecord) -> Iterator[Finding]:
    check = f"{scan.kind}: trains at size {size_number(record.size_index)} ({record.non_embedding_params:,} parameters)"
    if not record.usable:
        yield Finding(check, Outcome.FAILED, f"expected done, got {record.state.value}: {record.reason or 'no reason'}")
        return
    first, last = record.curve[0].validation_loss_nats, record.curve[-1].validation_loss_nats
    fell = f"validation loss from {first:.3f} to {last:.3f} nats"
    if first - last < _LEARNT_NATS:
        yield Finding(check, Outcome.FAILED, f"expected a fall of {_LEARNT_NATS} nats at least, got {fell}")
    else:
        yield Finding(check, Outcome.PASSED, fell)
    audit = record.prefix_audit
    if audit is not None:
        seen = f"{audit.mean_gain_nats:.2g} [{audit.low_nats:.2g}, {audit.high_nats:.2g}] nats from later tokens"
        leaks = audit.low_nats > _LEAK_NATS
        problem = f"expected none, got a gain of {seen}" if leaks else f"gains {seen}"
        size = size_number(record.size_index)
        yield Finding(f"{scan.kind}: prefix audit at size {size}", Outcome.FAILED if leaks else Outcome.PASSED, problem)


def _side_by_side(scan: MiniScan, records: Sequence[RunRecord]) -> Iterator[Finding]:
    """The last losses and the time of contender and baseline, size by size: to be seen, not judged."""
    usable = {(record.contender, record.size_index): record for record in records if record.usable}
    for (contender, size_index), mine in sorted(usable.items()):
        other = usable.get((scan.baseline, size_index))
        if contender != scan.contender or other is None:
            continue
        yield Finding(
            f"{scan.kind}: beside {scan.baseline} at size {size_number(size_index)}",
            Outcome.PASSED,
            f"{_result(mine)}; {scan.baseline} {_result(other)}",
        )


def _result(record: RunRecord) -> str:
    last = record.curve[-1]
    seconds = "" if last.device_seconds is None else f" in {last.device_seconds:.0f} s of training"
    return f"{last.validation_loss_nats:.3f} nats{seconds}"
