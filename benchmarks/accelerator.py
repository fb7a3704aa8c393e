"""What archbench does on an accelerator, in one command that keeps to its minutes and needs no network.

    python benchmarks/accelerator.py --minutes 9                     on a CUDA device; the CPU where there is none
    python benchmarks/accelerator.py --minutes 3 --device cpu        small models on a CPU: whether every part works

In the order of their importance, each with a share of the time: the tests marked `gpu`; the utilisation by GPT-2 124M;
tokens per second of every architecture at two sizes, eager and compiled; several small runs on one device; a ladder of
sizes by `archbench run`; two ZeRO stages. What does not fit into the time is named as left out. A part that fails,
hangs or dies takes no other with it.

`accelerator.json`, `accelerator.md` and `accelerator.html` in the folder of results are written anew while it goes on,
so that nothing that was measured is lost where it is killed; `accelerator.log` holds what the parts printed. The exit
code is 0 when the time was kept, whatever was measured, 2 for a mistake in the command, 130 after Ctrl-C.
"""

import argparse
import contextlib
import importlib.metadata
import math
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import psutil
from accelerator_parts.child import Setting
from accelerator_parts.driver import drive
from accelerator_parts.ladder import REPORT
from accelerator_parts.results import HTML_FILE, JSON_FILE, LOG_FILE, MARKDOWN_FILE, PartResult, Results, Writer
from accelerator_parts.scale import PARTS, Part, seconds_for
from accelerator_parts.texts import require_texts

from archbench.errors import ArchbenchError

ROOT = Path(__file__).parents[1]
PREPARATION = "accelerator_parts.preparation"
LAST_SECONDS = 3.0
"""Kept for the last writing, and for removing what the parts wrote."""
MOST_MINUTES = 24 * 60.0
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


class Refused(Exception):  # noqa: N818  (of a command, in one line)
    """The measurement cannot begin."""


@dataclass
class Measurement:
    """One measurement under way."""

    results: Results
    writer: Writer
    log: BinaryIO
    work: Path
    out: Path
    began: float
    end: float
    setting: Setting

    def prepare(self, text: Path | None) -> None:
        """Finds the device and prepares the text. Raises Refused where one of them cannot be had."""
        problems: list[str] = []

        def hear(event: Mapping[str, Any]) -> None:
            match event["event"]:
                case "machine":
                    self.results.machine, self.results.device = event["machine"], event["device"]
                case "text":
                    self.results.text = event["source"]
                    self.setting = replace(self.setting, dataset=event["dataset"], corpus=event["corpus"])
                case "failed":
                    problems.append(event["reason"])

        given = None if text is None else str(text.resolve())
        seconds = self.end - time.monotonic()
        drive(replace(self.setting, part=PREPARATION, seconds=seconds, text=given), self.log, hear)
        if problems or not self.setting.corpus:
            late = f"device and text were not ready within {seconds:.0f} s; raise --minutes"
            raise Refused(problems[0] if problems else late)
        machine = self.results.machine
        self.setting = replace(
            self.setting,
            device=self.results.device,
            peaks=machine["peak_flop_per_s"],
            num_devices=machine["num_devices"],
        )
        self.say(f"{machine.get('accelerator', machine['cpu'])}; {self.results.text}")

    def carry_out(self, parts: Sequence[Part]) -> None:
        """Carries `parts` out, one after the other."""
        for index, part in enumerate(parts):
            result = self.results.part(part.name)
            seconds = seconds_for(part, parts[index + 1 :], self.end - time.monotonic())
            if seconds is None:
                left = max(0.0, self.end - time.monotonic())
                result.state = "left out"
                result.reason = f"it needs about {part.least_seconds:.0f} s, and {left:.0f} s were left"
                self.say(f"{part.title}: left out: {result.reason}")
            else:
                self.carry_out_one(part, result, seconds)
            self.writer.write()

    def carry_out_one(self, part: Part, result: PartResult, seconds: float) -> None:
        """Carries out `part` within `seconds`."""
        self.say(f"{part.title}: {seconds:.0f} s")
        result.state, result.given_seconds = "under way", round(seconds, 1)
        began = time.monotonic()

        def hear(event: Mapping[str, Any]) -> None:
            result.hear(event)
            if event["event"] == "row" and part.name != "gpu_tests":
                self.say(f"  {event['what']}: {row_words(event['row'])}")
            self.writer.write_soon()

        try:
            folder = str(self.work)
            tokens = self.results.gpt2_tokens_per_s()
            setting = replace(
                self.setting, part=f"accelerator_parts.{part.name}", seconds=seconds, folder=folder, tokens_per_s=tokens
            )
            drive(setting, self.log, hear)
        finally:
            result.seconds = round(time.monotonic() - began, 1)
        if (report := self.work / REPORT).is_file():
            shutil.copyfile(report, self.out / REPORT)
        reason = f": {result.reason}" if result.reason else ""
        self.say(f"  {result.state}{reason}; {len(result.rows)} results, {len(result.left_out)} left out")

    def interrupted(self) -> None:
        """Notes what an interruption has left undone."""
        for part in self.results.parts:
            if part.state == "under way":
                part.end("interrupted")
            elif part.state == "not begun":
                part.state, part.reason = "left out", "interrupted before"

    def say(self, line: str) -> None:
        """One line with the time."""
        with contextlib.suppress(BrokenPipeError):
            print(f"[{time.monotonic() - self.began:4.0f} s] {line}", flush=True)


def row_words(row: Mapping[str, Any]) -> str:
    """A row in a few words."""
    if row["status"] != "measured":
        return str(row["status"])
    rate = f"{row['tokens_per_s']:,.0f} tokens/s" if row.get("tokens_per_s") else "measured"
    share = row.get("share_of_datasheet_peak", row.get("share_of_measured_peak"))
    return rate if share is None else f"{rate}, {share:.1%} of the peak"


def source() -> str:
    """Version of archbench, and the commit where git knows it."""
    version = importlib.metadata.version("archbench")
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        return f"{version}, commit {commit}"
    return f"{version}, no commit known"


def begin(arguments: argparse.Namespace, work: Path) -> Measurement:
    """Makes the folder of results. Raises Refused where it cannot be, or holds other results."""
    out: Path = arguments.out or Path(f"accelerator-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    # Imports count: the minutes are those of the command.
    began = time.monotonic() - (time.time() - psutil.Process().create_time())
    if (out / JSON_FILE).exists():
        raise Refused(f"--out {out}: holds results already; name another folder")
    results = Results(
        command=shlex.join([Path(sys.executable).name, *sys.argv]),
        minutes=arguments.minutes,
        source=source(),
        began=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        log = (out / LOG_FILE).open("ab")
    except OSError as error:
        raise Refused(f"--out {out}: cannot be written: {error.strerror}; name another folder") from error
    end = began + 60.0 * arguments.minutes - LAST_SECONDS
    setting = Setting(part="", device=arguments.device, seconds=0.0, folder=str(work))
    return Measurement(results, Writer(results, out, began), log, work, out, began, end, setting)


def minutes(text: str) -> float:
    """A positive number of minutes."""
    with contextlib.suppress(ValueError):
        value = float(text)
        if math.isfinite(value) and 0.0 < value <= MOST_MINUTES:
            return value
    raise argparse.ArgumentTypeError(f"got {text!r}, expected minutes above 0 and up to {MOST_MINUTES:.0f}, such as 9")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usage.add_argument("--minutes", type=minutes, required=True, help="that it may take, set-up included")
    usage.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    usage.add_argument(
        "--text", type=Path, metavar="FOLDER", help="of .txt, .md, .rst or .py files; else the installed packages' docs"
    )
    usage.add_argument("--out", type=Path, metavar="FOLDER", help="of results; a new one named by the time without it")
    names = [part.name for part in PARTS]
    usage.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"of {', '.join(names)}")
    return usage


def main(words: Sequence[str] | None = None) -> int:
    """Measures, and writes the results; the exit code."""
    arguments = parser().parse_args(words)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="archbench-accelerator-", ignore_cleanup_errors=True) as work:
        try:
            if arguments.text is not None:
                require_texts(arguments.text)
            measurement = begin(arguments, Path(work))
        except (Refused, ArchbenchError) as error:
            print(f"accelerator.py: {error}", file=sys.stderr)
            return EXIT_USAGE
        with measurement.log:
            try:
                return measure(measurement, arguments)
            except OSError as error:
                print(f"accelerator.py: {measurement.out}: cannot be written: {error.strerror}", file=sys.stderr)
                return EXIT_USAGE


def measure(measurement: Measurement, arguments: argparse.Namespace) -> int:
    """Carries out what `arguments` ask for; the exit code. Raises OSError where results cannot be written."""
    results, code = measurement.results, 0
    chosen = [part for part in PARTS if arguments.only is None or part.name in arguments.only]
    for part in PARTS:
        if part not in chosen:
            results.part(part.name).state, results.part(part.name).reason = "left out", "not asked for"
    try:
        measurement.prepare(arguments.text)
        measurement.writer.write()
        measurement.carry_out(chosen)
        results.ended = True
    except Refused as error:
        print(f"accelerator.py: {error}", file=sys.stderr)
        if LOG_FILE not in str(error):
            (measurement.out / LOG_FILE).unlink()
            with contextlib.suppress(OSError):
                measurement.out.rmdir()  # holds nothing of somebody else's
        return EXIT_USAGE
    except KeyboardInterrupt:
        measurement.interrupted()
        code = EXIT_INTERRUPTED
    measurement.writer.write()
    files = ", ".join((JSON_FILE, MARKDOWN_FILE, HTML_FILE))
    measurement.say(f"{'interrupted; ' if code else ''}{files} in {measurement.out}")
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    if platform.system() != "Linux":
        raise SystemExit("accelerator.py: needs Linux")
    raise SystemExit(main())
