"""Where a report comes from: how to cite it, which hardware stands behind it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from archbench.contracts.report import ScanResults
from archbench.display import fenced, markdown_text
from archbench.report.plotting import markdown_table
from archbench.results.runs import RunRecord
from archbench.units import human_seconds

_GIB = 2**30


def fingerprint(results: ScanResults) -> str:
    """SHA-256 over the ids of all runs in the results: two reports with the same one rest on the same runs."""
    records = (*results.records, *results.trials, *results.study_records)
    return hashlib.sha256("\n".join(sorted({record.run_id for record in records})).encode()).hexdigest()


def citation(results: ScanResults) -> str:
    """What to put into a bibliography, and the papers of the architectures; empty without any run."""
    if not (results.records or results.study_records):
        return ""
    version = results.environment.get("versions", {}).get("archbench")
    software = f"archbench {version}" if version else "archbench"
    told = f": {results.description}" if results.description else ""
    entry = "\n".join(
        [
            f"@misc{{archbench_{_key(results.name)},",
            f"  title = {{{results.name}{told}}},",
            f"  howpublished = {{Scan by {software}}},",
            f"  note = {{Fingerprint of its runs: {fingerprint(results)[:16]}}}",
            "}",
        ]
    )
    papers = dict.fromkeys(
        f"- {markdown_text(name)}: {markdown_text(str(plugin['paper']))}"
        for name, plugin in _plugins(results.environment)
        if plugin.get("paper")
    )
    also = "\n\nAnd the architectures' own papers:\n\n" + "\n".join(papers) if papers else ""
    about = "The fingerprint is that of the ids of all runs; `data/runs.csv` lists them."
    return f"{fenced(entry, 'bibtex')}\n\n{about}{also}"


def _key(name: str) -> str:
    """`name` as part of a key of a bibliography: letters and digits, all else an underscore."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def hardware_table(records: Iterable[RunRecord]) -> str:
    """Every kind of machine that runs were carried out on, with their number and time; empty where none was noted."""
    found: dict[tuple[str, ...], list[RunRecord]] = {}
    for record in records:
        timings = record.details.get("timings") or {}
        if hardware := timings.get("hardware"):
            found.setdefault(_machine(hardware), []).append(record)
    rows = [[*machine, str(len(runs)), _time(runs)] for machine, runs in found.items()]
    header = ["system", "processor", "cores", "memory", "device", "runs", "time in training steps"]
    return markdown_table(header, rows, right=(2, 3, 5, 6)) if rows else ""


def _machine(hardware: Mapping[str, Any]) -> tuple[str, ...]:
    memory = hardware.get("memory_bytes")
    return (
        str(hardware.get("system") or "-"),
        str(hardware.get("cpu") or "-"),
        str(hardware.get("cpu_cores") or "-"),
        f"{memory / _GIB:.0f} GiB" if memory else "-",
        str(hardware.get("device") or "-"),
    )


def _time(runs: Iterable[RunRecord]) -> str:
    """That `runs` spent in training steps; a dash where no seconds are known of any, as of published runs."""
    known = [run.curve[-1].device_seconds for run in runs if run.curve]
    seconds = [one for one in known if one is not None]
    return human_seconds(sum(seconds)) if seconds else "-"


def _plugins(environment: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    plugins = environment.get("plugins")
    return [(name, one) for name, one in plugins.items() if isinstance(one, Mapping)] if plugins else []
