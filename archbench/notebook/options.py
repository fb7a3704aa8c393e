"""Keyword arguments as the options that commands know, checked as the command line checks them."""

from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from archbench.answers.table_options import CHOICES, COLUMNS
from archbench.errors import SpecError, nearest

_COLUMNS = (*COLUMNS, "params_active", "params_total", "seconds", "params_other")
_TRANSLATED = ("data", "law", "scale", "log10", "best_of", "where", "floor", "compute_other")
_MEANING = {
    **dict.fromkeys((*_COLUMNS, "compute_unit", "param_convention", "loss_unit", "track", "law_name", "delta")),
    **dict.fromkeys(("scales", "log10s", "best_of", "where"), ()),
    "points": "all",
    "floor": "free",
    "residuals": "log",
    "interval": "auto",
}
"""Option that says how a table is meant or fitted -> its default."""
_EXAMPLES = {"scale": {"params": 1e9}, "where": {"dataset": "c4"}, "compute_other": {"gpu_s": "seconds"}}
_SAID = {"law_name": "law", "scales": "scale", "log10s": "log10"}


def options_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, arguments by name, as options of the commands by name. Raises SpecError for one that cannot be meant.

    `scale` and `where` are mappings; `log10` and `best_of` are names, or one name.
    """
    options = {name: value for name, value in given.items() if name not in _TRANSLATED}
    for name in _COLUMNS:
        if options.get(name) is not None:
            options[name] = str(options[name])
    for name, allowed in CHOICES.items():
        if options.get(name) is not None and options[name] not in allowed:
            raise SpecError(f"{flag(name)}: got {options[name]!r}, expected one of {', '.join(allowed)}")
    options["law_name"] = None if given.get("law") is None else str(given["law"])
    options["floor"] = str(given.get("floor", "free"))
    options["scales"] = tuple(f"{_named(name)}={factor}" for name, factor in _pairs("scale", given))
    options["log10s"] = tuple(_named(name) for name in _names(given.get("log10", ())))
    options["best_of"] = _names(given.get("best_of", ()))
    options["compute_others"] = tuple(f"{column}={name}" for column, name in _pairs("compute_other", given))
    options["where"] = tuple(f"{column}={value}" for column, value in _pairs("where", given))
    _check_numbers(options)
    return options


def refuse_meaning(options: Mapping[str, Any], source: str) -> None:
    """Raises SpecError where an option says how a table is meant, and the runs of `source` say so themselves."""
    for name, default in _MEANING.items():
        if options.get(name, default) != default:
            raise SpecError(f"{flag(_SAID.get(name, name))}: is read of a table only; {source} holds runs that say it")


def flag(name: str) -> str:
    """The flag of an argument, which messages name."""
    return f"--{name.replace('_', '-')}"


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """`value`, one of `allowed`. Raises SpecError for another one."""
    known = list(allowed)
    if value not in known:
        raise SpecError(f"{flag(name)}: got {value!r}, expected one of {', '.join(known)}{_meant(value, known)}")
    return str(value)


def _meant(value: Any, known: list[str]) -> str:
    close = nearest(str(value), known)
    return close if "did you mean" in close else ""


def _check_numbers(options: dict[str, Any]) -> None:
    for name, least in (("resamples", 0), ("random_seed", None)):
        value = options.get(name, 0)
        if not isinstance(value, Integral) or (least is not None and value < least):
            least_words = "" if least is None else f", {least} or more"
            raise SpecError(f"{flag(name)}: got {value!r}, expected a whole number{least_words}")
        options[name] = int(value)
    delta = options.get("delta")
    if delta is not None and not (isinstance(delta, Real) and float(delta) > 0):
        raise SpecError(f"--delta: got {delta!r}, expected a number above 0")


def _named(name: str) -> str:
    return str(name).replace("_", "-")


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given))


def _pairs(name: str, given: Mapping[str, Any]) -> list[tuple[str, Any]]:
    value = given.get(name)
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise SpecError(f"{flag(name)}: got {value!r}, expected a mapping, for example {_EXAMPLES[name]}")
    return list(value.items())
