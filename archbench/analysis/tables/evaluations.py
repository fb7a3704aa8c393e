"""Histories of others' runs as one table of evaluations, in columns of standard names.

Readers of all formats give histories: rows of what a run logged, and its settings, under the names that the run used.
Here it is said which of them is the held-out loss, the step, N and D; what a file lacks is given once for a run. Every
number is checked, and each refusal names file, place and key.
"""

import difflib
import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from archbench.contracts.run_reader import HistoryRow, RunHistory
from archbench.errors import SpecError, nearest
from archbench.units import counted

GIVEN_KEYS = ("params", "batch_tokens", "tokens", "arch", "seed", "learning_rate")
"""What may be given for a run; `tokens` for runs that have one evaluation."""
COLUMNS = (
    "run", "arch", "params", "tokens", "step", "seed", "batch_tokens", "learning_rate", "compute", "seconds", "file",
    "place",
)  # fmt: skip
"""Columns of the table, besides the loss's, which keeps its name. `place` is where the evaluation stands in `file`."""

_LOSS = re.compile(
    r"(?:val|valid|validation|eval|dev|heldout|held_out)(?:_.+)?_(?:loss|bpb)|"
    r"(?:loss|bpb)_(?:val|valid|validation|eval|dev)"
)
"""Names of held-out losses, in lower case with `_` between words."""
_BITS_PER_BYTE = re.compile(r"(?:^|[\W_])(?:bpb|bits?[\W_]*per[\W_]*byte)(?:$|[\W_])", re.IGNORECASE)
_STEPS = (
    "train/global_step", "trainer/global_step", "global_step", "iter", "iteration", "iter_num", "num_steps", "step",
    "Step", "_step",
)  # fmt: skip
"""Names of counters of optimiser steps, the surest first: W&B's `_step` counts calls of `log`, not steps."""
_TOKENS = ("tokens", "tokens_seen", "num_input_tokens_seen", "train/num_input_tokens_seen", "tokens_trained")
_BATCH_TOKENS = ("batch_tokens", "total_batch_size", "tokens_per_iter")
_LEARNING_RATES = ("learning_rate", "lr", "max_lr")
_COUNT = re.compile(r"(?P<number>[\d._]+(?:[eE][+-]?\d+)?)\s*(?P<unit>[kKMGBT])")
_UNITS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}


@dataclass(frozen=True, slots=True)
class Given:
    """A value given for a run, or for runs whose names match."""

    pattern: str
    """A run's name, or a pattern of it as shells have them; `*` for all."""
    key: str
    """One of GIVEN_KEYS."""
    value: str
    where: str
    """Flag or file and row that gave it, for messages."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person said of the files. Each text is the name of a setting or metric, or the value itself."""

    loss: str | None = None
    step: str | None = None
    tokens: str | None = None
    params: str | None = None
    batch_tokens: str | None = None
    arch: str | None = None
    seed: str | None = None
    compute: str | None = None
    seconds: str | None = None
    param_convention: str = "total"
    given: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluations:
    """Evaluations of all runs, ready for the way that tables take."""

    frame: pd.DataFrame
    """A row for each evaluation; columns are COLUMNS, where something is known of them, and the loss's."""
    loss: str
    """The column of the loss, which the runs called so."""
    loss_unit: str | None
    """`bpb` where the name says so; None: nats per token, unless somebody says otherwise."""
    notes: tuple[str, ...]
    """What was chosen and what was left out, in words."""


def evaluations(histories: Iterable[RunHistory], asked: Asked) -> Evaluations:
    """The table of evaluations. Raises SpecError where something is missing, ambiguous, or no number."""
    runs = _named_apart(list(histories))
    if not runs:
        raise SpecError("there is no run in what was named")
    loss = _loss_name(runs, asked.loss)
    _check_given(runs, asked.given)
    _check_keys(runs, asked)
    rows: list[dict[str, Any]] = []
    untrained: list[dict[str, Any]] = []
    notes = [f"loss: {loss}" + (", bits per byte" if (unit := _unit_of(loss)) else "")]
    steps_of: dict[str, list[str]] = {}
    for run in runs:
        own, step = _run_rows(run, loss, asked)
        if step:
            steps_of.setdefault(step, []).append(run.run)
        untrained += [one for one in own if one["tokens"] == 0]
        kept = [one for one in own if one["tokens"] > 0]
        if not kept:
            raise SpecError(f"{run.file}: run {run.run!r}: has no evaluation ({loss}) after its first step")
        rows += kept
    if len(steps_of) > 1 or not steps_of.keys() <= {"step", "Step"}:
        notes += [f"steps of {_some(names)}: {step}" for step, names in steps_of.items()]
    frame = pd.DataFrame(rows)
    unknown = [
        name for name in ("seed", "learning_rate", "batch_tokens", "compute", "seconds") if frame[name].isna().all()
    ]
    frame = frame.drop(columns=unknown)
    if untrained:
        places = ", ".join(f"{one['run']} {one['place']}" for one in untrained[:3])
        more = ", ..." if len(untrained) > 3 else ""
        notes.append(f"left out {counted(len(untrained), 'evaluation')} before any step: {places}{more}")
    return Evaluations(_typed(frame, loss), _loss_column(loss), unit, tuple(notes))


def _unit_of(loss: str) -> str | None:
    return "bpb" if _BITS_PER_BYTE.search(loss) else None


def parse_count(text: str, where: str) -> float:
    """`124e6`, `124M` or `1.3B` as a number above 0. Raises SpecError that begins with `where`."""
    found = _number_or_none(text)
    if found is None and (match := _COUNT.fullmatch(text.strip())):
        number = _number_or_none(match["number"])
        found = None if number is None else number * _UNITS[match["unit"]]
    if found is None or not 0 < found < math.inf:
        raise SpecError(f"{where}: got {text!r}, expected a number above 0 such as 124e6 or 124M")
    return found


def _named_apart(histories: list[RunHistory]) -> list[RunHistory]:
    """Histories with names of their own: parts of one run joined, runs of one name told apart by what their format has.

    Raises SpecError where nothing tells two runs of one name apart.
    """
    parts: dict[tuple[str, str, str], RunHistory] = {}
    for one in histories:
        one = replace(one, run=_plain(one.run) or one.file.stem)
        key = (one.run, one.run_id, "" if one.run_id else str(one.file))
        if key in parts and not one.run_id:
            raise SpecError(f"{one.file}: two runs are called {one.run!r}; rename one")
        parts[key] = _joined(parts[key], one) if key in parts else one
    by_name: dict[str, list[RunHistory]] = {}
    for one in parts.values():
        by_name.setdefault(one.run, []).append(one)
    return [
        one if len(by_name[one.run]) == 1 else replace(one, run=f"{one.run} ({_mark(one, by_name[one.run])})")
        for one in parts.values()
    ]


def _joined(before: RunHistory, after: RunHistory) -> RunHistory:
    """Two parts of one run as one; what both hold, as two checkpoints do, stands there once."""
    held = {repr(row.values) for row in before.rows}
    further = [row for row in after.rows if repr(row.values) not in held]
    return replace(after, rows=(*before.rows, *further), config={**before.config, **after.config})


def _mark(run: RunHistory, same: Sequence[RunHistory]) -> str:
    """What tells a run from those of the same name: its id where that is short, else the end of its file's path."""
    if run.run_id and "/" not in run.run_id and len({other.run_id for other in same}) == len(same):
        return run.run_id
    for length in range(1, len(run.file.parts) + 1):
        tails = ["/".join(other.file.with_suffix("").parts[-length:]) for other in same]
        if len(set(tails)) == len(same):
            return "/".join(run.file.with_suffix("").parts[-length:])
    files = sorted({str(other.file) for other in same})
    raise SpecError(f"{', '.join(files[:2])}: two runs are called {run.run!r}; rename one")


def _plain(text: str) -> str:
    """`text` as a name: what cannot be printed is replaced, since names go into files, tables and figures."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text).strip()


def _metrics(run: RunHistory) -> dict[str, None]:
    return dict.fromkeys(key for row in run.rows for key in row.values)


def _loss_name(runs: Sequence[RunHistory], asked: str | None) -> str:
    """The metric that is the held-out loss in every run. Raises SpecError where it is not one."""
    logged = [_metrics(run) for run in runs]
    if asked is not None:
        for run, names in zip(runs, logged, strict=True):
            if asked not in names:
                raise SpecError(f"{run.file}: run {run.run!r}: --loss: it logged no {asked!r}{nearest(asked, names)}")
        return asked
    common = [name for name in logged[0] if all(name in names for names in logged)]
    fitting = [name for name in common if _LOSS.fullmatch(re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"))]
    in_nats = [name for name in fitting if not _BITS_PER_BYTE.search(name)]
    found = in_nats or fitting
    if len(found) > 1:
        raise SpecError(
            f"{runs[0].file}: several metrics may be the held-out loss: {', '.join(found)}; choose by --loss"
        )
    if not found:
        for run, names in zip(runs, logged, strict=True):
            if not names:
                raise SpecError(f"{run.file}: run {run.run!r}: logged nothing")
        known = ", ".join(sorted(common)[:20]) or "none that every run has"
        raise SpecError(f"{runs[0].file}: no metric has the name of a held-out loss; say it by --loss: {known}")
    return found[0]


def _check_given(runs: Sequence[RunHistory], given: Iterable[Given]) -> None:
    """Raises SpecError for a value given to no run, or for what is none of GIVEN_KEYS."""
    names = [run.run for run in runs]
    for one in given:
        if one.key not in GIVEN_KEYS:
            raise SpecError(f"{one.where}: {one.key!r} cannot be given{nearest(one.key, GIVEN_KEYS)}")
        if not any(_matches(one.pattern, name) for name in names):
            raise SpecError(f"{one.where}: no run is called {one.pattern!r}{nearest(one.pattern, names)}")


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatch.fnmatchcase(name, pattern)


def _check_keys(runs: Sequence[RunHistory], asked: Asked) -> None:
    """Raises SpecError for a flag that is neither a value nor the name of something that some run has."""
    known = dict.fromkeys(name for run in runs for name in (*run.config, *_metrics(run)))
    for flag, text in (
        ("--params", asked.params),
        ("--batch-tokens", asked.batch_tokens),
        ("--tokens", asked.tokens),
        ("--seed", asked.seed),
        ("--step", asked.step),
        ("--compute", asked.compute),
        ("--seconds", asked.seconds),
    ):
        counted = flag in ("--params", "--batch-tokens", "--tokens", "--seed")
        if text is None or text in known or (counted and re.match(r"[\d.]", text)):
            continue
        raise SpecError(f"{runs[0].file}: {flag}: no run has a setting or metric {text!r}{nearest(text, known)}")


def _run_rows(run: RunHistory, loss: str, asked: Asked) -> tuple[list[dict[str, Any]], str | None]:
    """The evaluations of a run, and the name of its counter of steps."""
    logged = [row for row in run.rows if row.values.get(loss) is not None]
    step = _step_name(run, logged, asked)
    whole = {
        "run": run.run,
        "arch": _arch(run, asked),
        "params": _params(run, asked),
        "seed": _seed(run, asked),
        "learning_rate": _learning_rate(run, asked),
        "file": _plain(str(run.file)),
    }
    batch = _batch_tokens(run, asked)
    rows = []
    for row in logged:
        where = f"{run.file}: {row.place}"
        taken = None if step is None else _whole(row.values[step], f"{where}: {step}")
        tokens, per_step = _tokens(run, row, taken, batch, asked, only=len(logged) == 1)
        rows.append(
            {
                **whole,
                "tokens": tokens,
                "step": _steps_at(taken, tokens, per_step),
                "batch_tokens": per_step,
                "compute": None if asked.compute is None else _cost(run, row, asked.compute, "--compute"),
                "seconds": None if asked.seconds is None else _cost(run, row, asked.seconds, "--seconds"),
                _loss_column(loss): _number(row.values[loss], f"{where}: {loss}"),
                "place": _plain(row.place),
            }
        )
    return rows, step


def _loss_column(loss: str) -> str:
    return "loss" if loss in COLUMNS else loss


def _step_name(run: RunHistory, logged: Sequence[HistoryRow], asked: Asked) -> str | None:
    """The counter that every evaluation has; None where there is none and none was asked for."""
    if asked.step is not None:
        for row in logged:
            if row.values.get(asked.step) is None:
                raise SpecError(f"{run.file}: {row.place}: has no {asked.step} (--step)")
        return asked.step
    return next((name for name in _STEPS if all(row.values.get(name) is not None for row in logged)), None)


def _steps_at(taken: int | None, tokens: float, batch: float | None) -> int:
    """Steps taken; of a run without a counter, those that its tokens make, or its tokens themselves."""
    if taken is not None:
        return taken
    return max(1, round(tokens / batch)) if batch else int(tokens)


def _given(run: RunHistory, key: str, asked: Asked) -> Given | None:
    """What was given for the run: by its name rather than by a pattern, and the last of several."""
    found = [one for one in asked.given if one.key == key and _matches(one.pattern, run.run)]
    exact = [one for one in found if one.pattern == run.run]
    return (exact or found)[-1] if found else None


def _setting(run: RunHistory, names: Iterable[str]) -> tuple[str, Any] | None:
    """The first of `names` among the run's settings, else among what it logged last."""
    for name in names:
        if run.config.get(name) is not None:
            return name, run.config[name]
        for row in reversed(run.rows):
            if row.values.get(name) is not None:
                return name, row.values[name]
    return None


def _count(run: RunHistory, key: str, asked: Asked, flag: str, said: str | None, known: Iterable[str]) -> float | None:
    """A count of the whole run: given for it, said for all, or among its settings; None where nobody knows."""
    if one := _given(run, key, asked):
        return parse_count(one.value, f"{one.where}: {key}")
    if said is not None:
        if named := _setting(run, [said]):
            return _above_zero(named[1], f"{run.file}: run {run.run!r}: {said} ({flag})")
        if not re.match(r"[\d.]", said):
            raise SpecError(f"{run.file}: run {run.run!r}: has no setting or metric {said!r} ({flag})")
        return parse_count(said, flag)
    if named := _setting(run, known):
        return _above_zero(named[1], f"{run.file}: run {run.run!r}: {named[0]}")
    return None


def _params(run: RunHistory, asked: Asked) -> float:
    known = f"params_{asked.param_convention}"
    found = _count(run, "params", asked, "--params", asked.params, [known])
    if found is None:
        other = "total" if asked.param_convention == "non_embedding" else "non_embedding"
        why = "are not in the file"
        if run.config.get(f"params_{other}") is not None:
            why = f"are in the file as {other} ones only (--param-convention {other})"
        raise SpecError(f"{_of(run)}: its parameters {why}; {_remedy(run, 'params', '124e6', 'param')}")
    if found < 1:
        raise SpecError(f"{_of(run)}: params: got {found:g}, expected at least one parameter")
    return found


def _batch_tokens(run: RunHistory, asked: Asked) -> float | None:
    return _count(run, "batch_tokens", asked, "--batch-tokens", asked.batch_tokens, _BATCH_TOKENS)


def _tokens(
    run: RunHistory, row: HistoryRow, step: int | None, batch: float | None, asked: Asked, *, only: bool
) -> tuple[float, float | None]:
    """Tokens seen at an evaluation, and those of a step. What a person said goes before what the file has."""
    where = f"{run.file}: {row.place}"
    said = _given(run, "tokens", asked)
    text = said.value if said else asked.tokens
    flag = said.where if said else "--tokens"
    if text is not None and text in row.values:
        return _not_negative(row.values[text], f"{where}: {text}"), batch
    if text is not None and only and run.config.get(text) is not None:
        return _not_negative(run.config[text], f"{_of(run)}: {text}"), batch
    if text is not None and re.match(r"[\d.]", text):
        if not only:
            raise SpecError(f"{flag}: run {run.run!r} has several evaluations; give --batch-tokens, tokens of one step")
        return parse_count(text, flag), batch
    if text is not None:
        raise SpecError(f"{where}: has no {text!r} ({flag}){nearest(text, row.values)}")
    said_batch = asked.batch_tokens is not None or _given(run, "batch_tokens", asked) is not None
    counted = next((name for name in _TOKENS if row.values.get(name) is not None), None)
    if counted is not None and not said_batch:
        return _not_negative(row.values[counted], f"{where}: {counted}"), batch
    if batch is not None and step is not None:
        return step * batch, batch
    if batch is not None:
        raise SpecError(f"{where}: has no step to count tokens by; name its counter by --step, or tokens by --tokens")
    remedy = _remedy(run, "batch_tokens", "524288", "token")
    raise SpecError(
        f"{_of(run)}: its tokens are not in the file; {remedy}, or a metric that counts them: --tokens NAME"
    )


def _arch(run: RunHistory, asked: Asked) -> str:
    if one := _given(run, "arch", asked):
        return one.value
    if asked.arch is None:
        raise SpecError(f"{_of(run)}: its architecture is not said; {_remedy(run, 'arch', 'gpt2', 'arch|model|type')}")
    if named := _setting(run, [asked.arch]):
        names = named[1] if isinstance(named[1], list) else [named[1]]  # config.json lists `architectures`, mostly one
        if len(names) != 1 or not isinstance(names[0], str | int | float) or not str(names[0]).strip():
            raise SpecError(f"{_of(run)}: {asked.arch}: got {_shown(named[1])}, expected the name of an architecture")
        return _plain(str(names[0]))
    close = difflib.get_close_matches(asked.arch, list(run.config), n=1, cutoff=0.85)
    if close:
        raise SpecError(f"{_of(run)}: --arch: has no setting {asked.arch!r}; did you mean {close[0]!r}?")
    return asked.arch


def _seed(run: RunHistory, asked: Asked) -> int | None:
    if one := _given(run, "seed", asked):
        return _whole(one.value, f"{one.where}: seed")
    name = asked.seed or "seed"
    named = _setting(run, [name])
    if named is not None:
        return _whole(named[1], f"{_of(run)}: {name}")
    return None if asked.seed is None else _whole(asked.seed, "--seed")


def _learning_rate(run: RunHistory, asked: Asked) -> float | None:
    """The rate that the settings state, where it is a number; it takes part in no figure."""
    if one := _given(run, "learning_rate", asked):
        return _above_zero(one.value, f"{one.where}: learning_rate")
    stated = (run.config.get(name) for name in _LEARNING_RATES)
    numbers = (_number_or_none(value) for value in stated)
    return next((value for value in numbers if value is not None and math.isfinite(value)), None)


def _cost(run: RunHistory, row: HistoryRow, name: str, flag: str) -> float:
    value = row.values.get(name, run.config.get(name))
    if value is None:
        raise SpecError(f"{run.file}: {row.place}: has no {name} ({flag})")
    return _not_negative(value, f"{run.file}: {row.place}: {name}")


def _of(run: RunHistory) -> str:
    return f"{run.file}: run {run.run!r}"


def _remedy(run: RunHistory, key: str, example: str, pattern: str) -> str:
    """What a person can type: for all, by the name of a setting, for this run."""
    flag = f"--{key.replace('_', '-')}"
    names = [name for name in (*run.config, *_metrics(run)) if re.search(pattern, name, re.IGNORECASE)]
    named = f"{flag} NAME (it has {', '.join(names[:6])}), " if names else ""
    return f"say {flag} {example} for all, {named}or --set '{run.run}.{key}={example}'"


def _some(names: Sequence[str]) -> str:
    return repr(names[0]) if len(names) == 1 else f"{len(names)} runs"


def _number_or_none(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _number(value: Any, where: str) -> float:
    """A number, which may be NaN or infinite: a loss that was none is told by the gate that all tables pass."""
    found = _number_or_none(value)
    if found is None:
        raise SpecError(f"{where}: got {_shown(value)}, expected a number")
    return found


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _above_zero(value: Any, where: str) -> float:
    found = _number(value, where)
    if not 0 < found < math.inf:
        raise SpecError(f"{where}: got {_shown(value)}, expected a number above 0")
    return found


def _not_negative(value: Any, where: str) -> float:
    found = _number(value, where)
    if not 0 <= found < math.inf:
        raise SpecError(f"{where}: got {_shown(value)}, expected a number not below 0")
    return found


def _whole(value: Any, where: str) -> int:
    found = _number(value, where)
    if not 0 <= found < 2**53 or found != int(found):
        raise SpecError(f"{where}: got {_shown(value)}, expected a whole number not below 0")
    return int(found)


def _typed(frame: pd.DataFrame, loss: str) -> pd.DataFrame:
    """Columns in their order; a run without a stated seed has seed 0."""
    if "seed" in frame:
        frame["seed"] = frame["seed"].fillna(0).astype(int)
    names = [name for name in (*COLUMNS[:5], _loss_column(loss), *COLUMNS[5:]) if name in frame]
    return frame[names]
