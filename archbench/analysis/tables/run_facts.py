"""What is known of a whole run of others: N, D, batch, architecture, seed, costs; by its file, or as a person gave it.

What a person says goes before what the file has. Each refusal names file, run and remedy.
"""

import difflib
import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from archbench.analysis.tables.run_names import plain_name
from archbench.analysis.tables.stated_numbers import (
    above_zero,
    not_negative,
    number_or_none,
    parse_count,
    shown_value,
    whole_number,
)
from archbench.contracts.run_reader import HistoryRow, RunHistory
from archbench.errors import SpecError, nearest

GIVEN_KEYS = ("params", "batch_tokens", "tokens", "arch", "seed", "learning_rate")
"""What may be given for a run; `tokens` for runs that have one evaluation."""
_TOKENS = ("tokens", "tokens_seen", "num_input_tokens_seen", "train/num_input_tokens_seen", "tokens_trained")
_BATCH_TOKENS = ("batch_tokens", "total_batch_size", "tokens_per_iter")
_LEARNING_RATES = ("learning_rate", "lr", "max_lr")


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


def check_given(runs: Sequence[RunHistory], given: Iterable[Given]) -> None:
    """Raises SpecError for a value given to no run, or for what is none of GIVEN_KEYS."""
    names = [run.run for run in runs]
    for one in given:
        if one.key not in GIVEN_KEYS:
            raise SpecError(f"{one.where}: {one.key!r} cannot be given{nearest(one.key, GIVEN_KEYS)}")
        if not any(_matches(one.pattern, name) for name in names):
            raise SpecError(f"{one.where}: no run is called {one.pattern!r}{nearest(one.pattern, names)}")


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or fnmatch.fnmatchcase(name, pattern)


def check_keys(runs: Sequence[RunHistory], asked: Asked) -> None:
    """Raises SpecError for a flag that is neither a value nor the name of something that some run has."""
    known = dict.fromkeys(name for run in runs for name in (*run.config, *metrics_of(run)))
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


def metrics_of(run: RunHistory) -> dict[str, None]:
    """Names of all that the run logged, in order."""
    return dict.fromkeys(key for row in run.rows for key in row.values)


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
            return above_zero(named[1], f"{run.file}: run {run.run!r}: {said} ({flag})")
        if not re.match(r"[\d.]", said):
            raise SpecError(f"{run.file}: run {run.run!r}: has no setting or metric {said!r} ({flag})")
        return parse_count(said, flag)
    if named := _setting(run, known):
        return above_zero(named[1], f"{run.file}: run {run.run!r}: {named[0]}")
    return None


def params_of(run: RunHistory, asked: Asked) -> float:
    """N of the run. Raises SpecError with the remedy where nobody says it."""
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


def batch_tokens_of(run: RunHistory, asked: Asked) -> float | None:
    """Tokens of one step; None where nobody says them."""
    return _count(run, "batch_tokens", asked, "--batch-tokens", asked.batch_tokens, _BATCH_TOKENS)


def tokens_of(
    run: RunHistory, row: HistoryRow, step: int | None, batch: float | None, asked: Asked, *, only: bool
) -> tuple[float, float | None]:
    """Tokens seen at an evaluation, and those of a step. What a person said goes before what the file has."""
    where = f"{run.file}: {row.place}"
    said = _given(run, "tokens", asked)
    text = said.value if said else asked.tokens
    flag = said.where if said else "--tokens"
    if text is not None and text in row.values:
        return not_negative(row.values[text], f"{where}: {text}"), batch
    if text is not None and only and run.config.get(text) is not None:
        return not_negative(run.config[text], f"{_of(run)}: {text}"), batch
    if text is not None and re.match(r"[\d.]", text):
        if not only:
            raise SpecError(f"{flag}: run {run.run!r} has several evaluations; give --batch-tokens, tokens of one step")
        return parse_count(text, flag), batch
    if text is not None:
        raise SpecError(f"{where}: has no {text!r} ({flag}){nearest(text, row.values)}")
    said_batch = asked.batch_tokens is not None or _given(run, "batch_tokens", asked) is not None
    counted = next((name for name in _TOKENS if row.values.get(name) is not None), None)
    if counted is not None and not said_batch:
        return not_negative(row.values[counted], f"{where}: {counted}"), batch
    if batch is not None and step is not None:
        return step * batch, batch
    if batch is not None:
        raise SpecError(f"{where}: has no step to count tokens by; name its counter by --step, or tokens by --tokens")
    remedy = _remedy(run, "batch_tokens", "524288", "token")
    raise SpecError(
        f"{_of(run)}: its tokens are not in the file; {remedy}, or a metric that counts them: --tokens NAME"
    )


def arch_of(run: RunHistory, asked: Asked) -> str:
    """The architecture of the run. Raises SpecError with the remedy where nobody says it."""
    if one := _given(run, "arch", asked):
        return one.value
    if asked.arch is None:
        raise SpecError(f"{_of(run)}: its architecture is not said; {_remedy(run, 'arch', 'gpt2', 'arch|model|type')}")
    if named := _setting(run, [asked.arch]):
        names = named[1] if isinstance(named[1], list) else [named[1]]  # config.json lists `architectures`, mostly one
        if len(names) != 1 or not isinstance(names[0], str | int | float) or not str(names[0]).strip():
            raise SpecError(
                f"{_of(run)}: {asked.arch}: got {shown_value(named[1])}, expected the name of an architecture"
            )
        return plain_name(str(names[0]))
    close = difflib.get_close_matches(asked.arch, list(run.config), n=1, cutoff=0.85)
    if close:
        raise SpecError(f"{_of(run)}: --arch: has no setting {asked.arch!r}; did you mean {close[0]!r}?")
    return asked.arch


def seed_of(run: RunHistory, asked: Asked) -> int | None:
    """The seed of the run; None where nobody says it."""
    if one := _given(run, "seed", asked):
        return whole_number(one.value, f"{one.where}: seed")
    name = asked.seed or "seed"
    named = _setting(run, [name])
    if named is not None:
        return whole_number(named[1], f"{_of(run)}: {name}")
    return None if asked.seed is None else whole_number(asked.seed, "--seed")


def learning_rate_of(run: RunHistory, asked: Asked) -> float | None:
    """The rate that the settings state, where it is a number; it takes part in no figure."""
    if one := _given(run, "learning_rate", asked):
        return above_zero(one.value, f"{one.where}: learning_rate")
    stated = (run.config.get(name) for name in _LEARNING_RATES)
    numbers = (number_or_none(value) for value in stated)
    return next((value for value in numbers if value is not None and math.isfinite(value)), None)


def cost_of(run: RunHistory, row: HistoryRow, name: str, flag: str) -> float:
    """The cost `name` at an evaluation, or of the whole run. Raises SpecError where there is none."""
    value = row.values.get(name, run.config.get(name))
    if value is None:
        raise SpecError(f"{run.file}: {row.place}: has no {name} ({flag})")
    return not_negative(value, f"{run.file}: {row.place}: {name}")


def _of(run: RunHistory) -> str:
    return f"{run.file}: run {run.run!r}"


def _remedy(run: RunHistory, key: str, example: str, pattern: str) -> str:
    """What a person can type: for all, by the name of a setting, for this run."""
    flag = f"--{key.replace('_', '-')}"
    names = [name for name in (*run.config, *metrics_of(run)) if re.search(pattern, name, re.IGNORECASE)]
    named = f"{flag} NAME (it has {', '.join(names[:6])}), " if names else ""
    return f"say {flag} {example} for all, {named}or --set '{run.run}.{key}={example}'"
