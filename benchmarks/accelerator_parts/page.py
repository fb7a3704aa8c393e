"""The page that shows a measurement, out of the content of its `accelerator.json`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.display import markdown_heading, markdown_line, markdown_list, markdown_text
from archbench.report.plotting import markdown_table
from archbench.units import counted, human_bytes, human_count, human_seconds

NONE = "–"
MOST_LISTED = 12
"""Of the same sort; the JSON has all."""

Row = Mapping[str, Any]
Show = Callable[[Any], str]


@dataclass(frozen=True)
class MeasurementPage:
    """What `archbench.report.html.page` takes; all text is Markdown."""

    title: str
    lead: str
    parts: Sequence[str]

    @property
    def markdown(self) -> str:
        """The whole page."""
        return "\n\n".join([markdown_heading(1, self.title), self.lead, *self.parts]) + "\n"


def markdown_page(content: Mapping[str, Any]) -> MeasurementPage:
    """The page of a measurement, finished or not."""
    device = content["machine"].get("accelerator") or content["machine"].get("cpu") or "no device yet"
    parts = [_machine(content), *(_part(part) for part in content["parts"]), _how(content)]
    return MeasurementPage(f"archbench on {device}", markdown_list(_lead(content)), parts)


def _lead(content: Mapping[str, Any]) -> list[str]:
    lines = []
    if content["device"] == "cpu":
        lines.append("Measured on a CPU with small models: this shows that every part works, not what a GPU does.")
    if not content["ended"]:
        lines.append("The measurement goes on, or was killed: what is here was measured before.")
    for part in content["parts"]:
        state = part["state"] + (f": {part['reason']}" if part["reason"] else "")
        left = f", {len(part['left_out'])} left out" if part["left_out"] else ""
        headline = _HEADLINES[part["name"]](part) if part["rows"] else None
        lines.append(f"{part['title']}: {state}{left}{f'; {headline}' if headline else ''}")
    return lines


def _machine(content: Mapping[str, Any]) -> str:
    machine = dict(content["machine"])
    if not machine:
        return "## Machine\n\nNot known yet."
    peaks = machine.pop("peak_flop_per_s")
    names = machine.pop("versions")
    rows = [
        ("device", machine.get("accelerator", "CPU")),
        ("devices", str(machine["num_devices"])),
        ("device memory", human_bytes(machine["accelerator_memory_bytes"]) if "accelerator" in machine else NONE),
        ("driver", machine.get("driver", NONE)),
        ("compute capability", machine.get("compute_capability", NONE)),
        ("processor", f"{machine['cpu']}, {machine['cpu_cores']} usable"),
        ("memory", human_bytes(machine["memory_bytes"])),
        ("system", machine["platform"]),
        ("load before", str(machine["load_average"])),
        *(
            (f"peak by {_PEAK_SOURCES[name]}, {machine['precision']}", f"{human_count(peak)}FLOP/s")
            for name, peak in peaks.items()
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in names.items())),
        ("text", content["text"] or NONE),
    ]
    return f"## Machine\n\n{markdown_table(('what', 'found'), rows)}"


_PEAK_SOURCES = {"measured": "a large matrix product", "datasheet": "the maker's datasheet"}


def _part(part: Mapping[str, Any]) -> str:
    lines = [markdown_heading(2, part["title"]), markdown_line(_state(part))]
    if part["conditions"]:
        shown = {name: value for name, value in part["conditions"].items() if value is not None}
        lines.append(markdown_line("Conditions: " + ", ".join(f"{_words(n)} {_value(v)}" for n, v in shown.items())))
    if part["rows"]:
        lines.append(_TABLES[part["name"]](part["rows"]))
    if part["left_out"]:
        lines += ["Left out:", markdown_list(_left_out(part["left_out"]))]
    return "\n\n".join(lines)


def _state(part: Mapping[str, Any]) -> str:
    time = ""
    if part["seconds"] is not None:
        time = f" in {human_seconds(part['seconds'])} of {human_seconds(part['given_seconds'])}"
    reason = f": {part['reason']}" if part["reason"] else ""
    return f"{part['state'].capitalize()}{time}{reason}."


def _left_out(left_out: Sequence[Mapping[str, str]]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        by_reason.setdefault(one["why"], []).append(one["what"])
    lines = []
    for why, what in by_reason.items():
        more = f"; and {len(what) - MOST_LISTED} more" if len(what) > MOST_LISTED else ""
        lines.append(f"{why}: {'; '.join(what[:MOST_LISTED])}{more}")
    return lines


def _how(content: Mapping[str, Any]) -> str:
    lines = [
        f"command: {content['command']}",
        f"begun {content['began']}, {human_seconds(content['seconds'])} of {content['minutes']:g} min",
        f"archbench: {content['source']}",
        "a figure of tokens per second is the median of three chunks after two steps of warm-up, with the step of "
        "archbench's own training loop; FLOPs are exact ones (matrix products, forward and backward, attention over "
        "the full context)",
    ]
    return f"## How it was measured\n\n{markdown_list(lines)}"


# Tables: each column has a key, a heading and a way to show its value; one that is empty in every row is left out.


def _table(rows: Sequence[Row], columns: Sequence[tuple[str, str, Show]]) -> str:
    used = [column for column in columns if any(row.get(column[0]) is not None for row in rows)]
    cells = [[NONE if row.get(key) is None else show(row[key]) for key, _, show in used] for row in rows]
    numbers = [index for index, (*_, show) in enumerate(used) if show is not _text]
    return markdown_table([markdown_text(heading) for _, heading, _ in used], cells, numbers)


def _text(value: Any) -> str:
    return str(value)


def _count(value: Any) -> str:
    return f"{value:,.0f}"


def _share(value: Any) -> str:
    return f"{value:.1%}"


def _plain(value: Any) -> str:
    return f"{value:g}"


_SPEED = (
    ("tokens_per_s", "tokens/s", _count),
    ("share_of_datasheet_peak", "of the datasheet's peak", _share),
    ("share_of_measured_peak", "of the measured peak", _share),
    ("peak_memory_bytes", "peak memory", human_bytes),
)
_STATUS = ("status", "status", _text)
_SETUP = ("warm_up_seconds", "warm-up s", _plain)


def _tests_table(rows: Sequence[Row]) -> str:
    reasons = Counter((row["status"], row.get("reason") or "") for row in rows if row["status"] != "failed")
    lines = [f"{status}: {count}{f' ({reason})' if reason else ''}" for (status, reason), count in reasons.items()]
    failed = [row for row in rows if row["status"].startswith("failed")]
    if not failed:
        return markdown_list(lines)
    table = _table(failed, (("test", "failed test", _text), ("reason", "error", _text), ("seconds", "s", _plain)))
    return f"{markdown_list([*lines, f'failed: {len(failed)}'])}\n\n{table}"


def _utilisation_table(rows: Sequence[Row]) -> str:
    columns = (("loop", "loop", _text), ("micro_batch_rows", "rows a pass", _count), *_SPEED, _SETUP, _STATUS)
    return _table(rows, columns)


def _architectures_table(rows: Sequence[Row]) -> str:
    """One line for each architecture and size, with its loops side by side."""
    merged: dict[tuple[str, float], dict[str, Any]] = {}
    for row in rows:
        line = merged.setdefault((row["architecture"], row["size"]), {**row, "status": None})
        compiled = row["loop"] == "compiled"
        line["compiled" if compiled else "eager"] = row.get("tokens_per_s")
        if compiled:
            line["compile_seconds"] = row.get("warm_up_seconds")
        if row["status"] != "measured":
            line["status"] = "; ".join(filter(None, [line["status"], f"{row['loop']}: {row['status']}"]))
    for line in merged.values():
        if line.get("eager") and line.get("compiled"):
            line["gain"] = line["compiled"] / line["eager"]
    columns = (
        ("architecture", "architecture", _text),
        ("objective", "objective", _text),
        ("non_embedding_params", "N", _count),
        ("eager", "tokens/s, eager", _count),
        ("compiled", "compiled", _count),
        ("gain", "compiled / eager", lambda value: f"{value:.2f}"),
        ("compile_seconds", "compile s", _plain),
        *_SPEED[1:],
        ("status", "what failed", _text),
    )
    return _table(list(merged.values()), columns)


def _sharing_table(rows: Sequence[Row]) -> str:
    columns = (
        ("processes", "processes", _count),
        ("tokens_per_s", "tokens/s in all", _count),
        ("times_one", "times one", _plain),
        _STATUS,
    )
    return _table(rows, columns)


_RUN = (
    ("non_embedding_params", "N", _count),
    ("tokens", "tokens", _count),
    ("validation_loss_nats", "loss (nats)", _plain),
    ("bits_per_byte", "bits per byte", _plain),
    ("training_seconds", "s in steps", _plain),
    *_SPEED,
    _STATUS,
)


def _ladder_table(rows: Sequence[Row]) -> str:
    return _table(sorted(rows, key=lambda row: row["non_embedding_params"]), _RUN)


def _zero_table(rows: Sequence[Row]) -> str:
    return _table(rows, (("zero_stage", "stage", _count), ("ranks", "ranks", _count), *_RUN))


_TABLES = {
    "gpu_tests": _tests_table,
    "utilisation": _utilisation_table,
    "architectures": _architectures_table,
    "sharing": _sharing_table,
    "ladder": _ladder_table,
    "zero": _zero_table,
}


# The one figure of a part that the top of the page names.


def _measured(part: Mapping[str, Any]) -> list[Row]:
    return [row for row in part["rows"] if row["status"] == "measured"]


def _tests_headline(part: Mapping[str, Any]) -> str:
    counts = Counter(row["status"].split(":")[0] for row in part["rows"])
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def _utilisation_headline(part: Mapping[str, Any]) -> str | None:
    rows = _measured(part)
    if not rows:
        return None
    best = max(rows, key=lambda row: row["tokens_per_s"])
    shares = [f"{_share(best[key])} of {words}" for key, words in _SHARES.items() if best.get(key) is not None]
    goal = part["conditions"].get("goal_share_of_peak")
    aim = f" (goal {goal:.0%})" if goal else ""
    place = f"{best['loop']}, {best['micro_batch_rows']} rows a pass"
    return f"best {_count(best['tokens_per_s'])} tokens/s, {' and '.join(shares)}{aim}, {place}"


_SHARES = {"share_of_datasheet_peak": "the datasheet's peak", "share_of_measured_peak": "the measured peak"}


def _architectures_headline(part: Mapping[str, Any]) -> str:
    names = {row["architecture"] for row in _measured(part)}
    compiled = {row["architecture"] for row in _measured(part) if row["loop"] == "compiled"}
    return f"{counted(len(names), 'architecture')} measured, {len(compiled)} of them compiled as well"


def _sharing_headline(part: Mapping[str, Any]) -> str | None:
    rows = _measured(part)
    if not rows:
        return None
    best = max(rows, key=lambda row: row["tokens_per_s"])
    return f"best with {best['processes']} at once: {_plain(best['times_one'])} times one"


def _ladder_headline(part: Mapping[str, Any]) -> str | None:
    sizes = [row["non_embedding_params"] for row in _measured(part)]
    if not sizes:
        return None
    return f"{counted(len(sizes), 'run')} from {human_count(min(sizes))} to {human_count(max(sizes))} parameters"


def _zero_headline(part: Mapping[str, Any]) -> str:
    return ", ".join(f"stage {row['stage']}: {_zero_words(row)}" for row in part["rows"])


def _zero_words(row: Row) -> str:
    return f"{_count(row['tokens_per_s'])} tokens/s" if row.get("tokens_per_s") else str(row["status"])


_HEADLINES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "gpu_tests": _tests_headline,
    "utilisation": _utilisation_headline,
    "architectures": _architectures_headline,
    "sharing": _sharing_headline,
    "ladder": _ladder_headline,
    "zero": _zero_headline,
}


def _words(name: str) -> str:
    return name.replace("_", " ").replace("flop per s", "FLOP/s")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " and ".join(f"{human_count(one)} ({name})" for name, one in value.items())
    if isinstance(value, list):
        return f"{len(value)}" if len(value) > MOST_LISTED else ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
