"""Logs of nanochat, nanoGPT, modded-nanogpt and llm.c, and the CSV of nanochat's scaling laws.

The lines are those that the programs print: `Step 00250 | Validation bpb: 0.9` and, since its logs have records,
`eval step=250 val_bpb=0.9` (nanochat); `step 250: train loss 3.1, val loss 3.2` (nanoGPT); `step:250/1750 val_loss:3.2`
(modded-nanogpt); `s:250 tel:3.2` (llm.c).
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from archbench.api import HistoryRow, RunHistory, RunReader, SpecError
from archbench.builtins.readers.files import csv_rows, first_bytes, header_of, number_in

_PLAIN_NAMES = frozenset({"log", "main", "train", "training", "base_train", "output", "out", "stdout", "history"})
"""Stems of files that say nothing about the run: the folder's name is its name then."""

_EVALUATIONS = (
    (re.compile(r"(?<!\S)Step (?P<step>\S+) \| Validation bpb: (?P<loss>\S+)"), "val_bpb"),
    (re.compile(r"(?<!\S)step (?P<step>\S+): train loss \S+, val loss (?P<loss>\S+)"), "val_loss"),
    (re.compile(r"(?<!\S)step:(?P<step>[^\s/]+)(?:/\S+)? val_loss:(?P<loss>\S+)"), "val_loss"),
    (re.compile(r"(?<!\S)s:(?P<step>\S+) tel:(?P<loss>\S+)"), "val_loss"),
)
"""What an evaluation prints, perhaps behind a time or a rank, and what it is called here."""
_SETTINGS = (
    (re.compile(r"Total batch size (?P<value>[\d,]+)"), "batch_tokens", 1.0),
    (re.compile(r"tokens per iteration will be: (?P<value>[\d,]+)"), "batch_tokens", 1.0),
    (re.compile(r"number of parameters: (?P<value>[\d.]+)M"), "number_of_parameters", 1e6),
    (re.compile(r"Number of parameters: (?P<value>[\d,]+)"), "params_total", 1.0),
)
_COUNTED = re.compile(r"(?P<name>wte|value_embeds|lm_head|transformer_matrices|scalars|total)\s*: (?P<value>[\d,]+)")
"""A line under `Parameter counts:`."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FIELD = re.compile(r"(?P<key>[\w.]+)=(?P<value>'[^']*'|\"[^\"]*\"|\S+)")
_RECORD = re.compile(r"(?P<tag>params|eval|summary|model) (?P<fields>[\w.]+=\S.*)")
_CSV_RUN = ("depth", "val_bpb")


class NanoChat(RunReader):
    """Reader `nanochat`."""

    kind: Literal["nanochat"] = "nanochat"
    summary: ClassVar[str] = "nanochat, nanoGPT, modded-nanogpt and llm.c: logs, and the CSV of nanochat's scaling laws"

    def recognises(self, path: Path) -> bool:
        """See `RunReader.recognises`."""
        if path.suffix.lower() == ".csv":
            columns = header_of(path)
            return columns[:1] == ["flops_budget"] and set(_CSV_RUN) <= set(columns)
        if path.suffix.lower() not in (".log", ".txt"):
            return False
        head = first_bytes(path, 1 << 20).decode(errors="replace")
        return any(_evaluation(line) for line in head.splitlines())

    def read(self, path: Path) -> Iterable[RunHistory]:
        """See `RunReader.read`."""
        if path.is_dir():
            raise SpecError(f"{path}: is a folder; reader nanochat reads logs and CSV, several at once: {path}/*/*.log")
        return _from_csv(path) if path.suffix.lower() == ".csv" else _from_log(path)


def _run_name(path: Path) -> str:
    return path.absolute().parent.name if path.stem in _PLAIN_NAMES else path.stem


def _from_csv(path: Path) -> list[RunHistory]:
    """A line for each run (`results.csv` of runs/scaling_laws.sh), or one run's history, a line for each evaluation."""
    names, rows = csv_rows(path)
    if not set(_CSV_RUN) <= set(names):
        return [RunHistory(_run_name(path), path, rows)]
    histories = []
    for row in rows:
        missing = [name for name in _CSV_RUN if name not in row.values]
        if missing:
            raise SpecError(f"{path}: {row.place}: has no {missing[0]}")
        budget = f"flops{row.values['flops_budget']}_" if "flops_budget" in row.values else ""
        values = dict(row.values)
        if "num_iterations" in values:
            values["step"] = values["num_iterations"]
        config = {**row.values, **_csv_params(row.values, f"{path}: {row.place}")}
        histories.append(RunHistory(f"{budget}d{values['depth']}", path, [HistoryRow(row.place, values)], config))
    return histories


def _csv_params(values: Mapping[str, Any], where: str) -> dict[str, float]:
    """N with and without embeddings, of the columns that early and later versions have."""
    counts: dict[str, float] = {}
    for name in ("params_total", "num_params"):
        if name in values:
            counts.setdefault("params_total", number_in(values[name], f"{where}: {name}"))
    if "params_transformer" in values:
        parts = [name for name in ("params_transformer", "params_scalars") if name in values]
        counts["params_non_embedding"] = sum(number_in(values[name], f"{where}: {name}") for name in parts)
    return counts


def _from_log(path: Path) -> list[RunHistory]:
    rows: list[HistoryRow] = []
    models: list[RunHistory] = []
    config: dict[str, Any] = {}
    counts: dict[str, float] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            line, place = _COLOURS.sub("", line).strip(), f"line {number}"
            where = f"{path}: {place}"
            if found := _evaluation(line):
                rows.append(HistoryRow(place, found))
            elif record := _RECORD.fullmatch(line):
                fields = {match["key"]: match["value"].strip("'\"") for match in _FIELD.finditer(record["fields"])}
                if record["tag"] == "params":
                    counts |= {key: number_in(value, f"{where}: {key}") for key, value in fields.items()}
                elif record["tag"] == "model":
                    models.append(_of_curve(path, place, fields))
                else:
                    config |= fields
            else:
                _note_settings(line, config, counts, where)
    if models:
        return models
    if not rows:
        raise SpecError(
            f"{path}: has no line with an evaluation of nanochat, nanoGPT, modded-nanogpt or llm.c, "
            "such as `step 250: train loss 3.1, val loss 3.2`"
        )
    if "total_batch_size" in config:
        config["batch_tokens"] = config["total_batch_size"]
    return [RunHistory(_run_name(path), path, rows, {**config, **_log_params(counts)})]


def _evaluation(line: str) -> dict[str, Any] | None:
    """Step and loss of a line that has them, as texts."""
    for pattern, name in _EVALUATIONS:
        if match := pattern.search(line):
            return {"step": match["step"], name: match["loss"].rstrip(",")}
    if (record := _RECORD.fullmatch(line)) and record["tag"] == "eval":
        fields = {match["key"]: match["value"] for match in _FIELD.finditer(record["fields"])}
        return fields if "val_bpb" in fields or "val_loss" in fields else None
    return None


def _note_settings(line: str, config: dict[str, Any], counts: dict[str, float], where: str) -> None:
    if counted := _COUNTED.fullmatch(line):
        counts[counted["name"]] = number_in(counted["value"].replace(",", ""), where)
    for pattern, name, factor in _SETTINGS:
        if match := pattern.search(line):
            config[name] = number_in(match["value"].replace(",", ""), where) * factor


def _log_params(counts: Mapping[str, float]) -> dict[str, float]:
    """N with and without embeddings (token and value embeddings, output matrix), of nanochat's own counts."""
    found = {}
    if "total" in counts:
        found["params_total"] = counts["total"]
    if "transformer_matrices" in counts:
        found["params_non_embedding"] = counts["transformer_matrices"] + counts.get("scalars", 0.0)
    return found


def _of_curve(path: Path, place: str, fields: Mapping[str, Any]) -> RunHistory:
    """A run of `curve.log`, which has the end of each."""
    values = {key.removeprefix("base."): value for key, value in fields.items()}
    if "model_tag" not in values:
        raise SpecError(f"{path}: {place}: has no model_tag")
    if "num_iterations" in values:
        values["step"] = values["num_iterations"]
    config = {**values, **_csv_params(values, f"{path}: {place}")}
    return RunHistory(str(values["model_tag"]), path, [HistoryRow(place, values)], config)
