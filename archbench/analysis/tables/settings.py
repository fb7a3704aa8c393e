"""Which columns of a table say how runs were set up, so that runs that differ in them are no seeds of each other.

A column of outcomes (another loss, seconds, a date) differs between seeds as well. A setting is told from it by its
name, or by its values: a few that come again in group after group, or in the same ratios, as a sweep's do.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SETTINGS = _listed("""
    lr lrs learning wd decay batch bs gbs batchsize warmup schedule scheduler optimizer optimiser optim beta beta1
    beta2 momentum dropout eps epsilon clip width depth layers nlayers heads nheads dmodel dim hidden ffn dff ctx
    context seq seqlen vocab init mup tokenizer dataset corpus aspect epochs experts topk precision cooldown
""")
_OUTCOMES = _listed("""
    loss losses ppl perplexity acc accuracy bpb error score time times seconds secs hours minutes runtime wall mfu
    flop flops memory mem throughput speed date timestamp created updated host hostname node nodes path file url link
    id ids uid uuid hash name run note notes comment version commit index rank grad norm
""")
_SEEDS = frozenset({"seed", "seeds", "trial", "replica", "replicate", "repeat", "repetition", "rep"})
_SIZES = _listed("n d params param parameters tokens token size sizes width depth layers nlayers dmodel dim steps step")
_INDEX = re.compile(r"^(unnamed: \d+|index|row|rownum|row_number|)$", re.IGNORECASE)
_RUNS = frozenset({"run", "runname", "runid", "experiment", "expname"})


def words_of(column: str) -> list[str]:
    """`trainLearning_rate` -> train, learning, rate."""
    return re.findall(r"[a-z]+\d*|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column).lower())


def is_seed(column: str) -> bool:
    """Whether a column's name says seed."""
    return not _SEEDS.isdisjoint(words_of(column))


def says_size(column: str) -> bool:
    """Whether a column's name says how large a model, or how long a run, was."""
    return not _SIZES.isdisjoint(words_of(column))


def names_runs(column: str) -> bool:
    """Whether a column's name says that it names runs."""
    return "".join(words_of(column)) in _RUNS


def is_index(column: str, cells: pd.Series) -> bool:
    """Whether a column only counts the rows: it makes no two rows different."""
    if _INDEX.match(str(column).strip()):
        return True
    if not pd.api.types.is_integer_dtype(cells.dtype) or len(cells) < 3:
        return False
    return bool((np.diff(cells.to_numpy(dtype=float)) == 1).all())


def as_text(cells: pd.Series) -> pd.Series:
    """Cells as text, so that lists, dates and empty cells compare; 8.0 and 8 are one text."""
    try:
        codes, different = pd.factorize(cells)
    except TypeError:  # lists and the like
        return cells.map(_text).astype(object)
    texts = np.array([*map(_text, different), "nan"], dtype=object)
    return pd.Series(texts[codes], index=cells.index, dtype=object)


def _text(cell: object) -> str:
    if isinstance(cell, float | np.floating) and np.isfinite(cell) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def differing_columns(columns: pd.DataFrame, groups: np.ndarray) -> list[str]:
    """Columns that differ inside groups, outcomes and names of runs left out."""
    found = []
    for name in columns.columns:
        words = set(words_of(str(name)))
        if words & _OUTCOMES or words & _SEEDS or names_runs(str(name)):
            continue
        if any(len(own) > 1 for own in _found_in(columns[name].to_numpy(), groups)):
            found.append(str(name))
    return found


def _found_in(cells: np.ndarray, groups: np.ndarray) -> list[tuple[str, ...]]:
    """The different cells of each group."""
    found: dict[int, set[str]] = {}
    for group, cell in zip(groups.tolist(), cells.tolist(), strict=True):
        found.setdefault(group, set()).add(str(cell))
    return [tuple(sorted(own)) for own in found.values()]


def swept_settings(columns: pd.DataFrame, groups: np.ndarray) -> list[str]:
    """Columns that differ inside groups of rows that should be repeats, and that say how runs were set up.

    columns: of text, index columns left out. groups: the group of each row; groups of one row say nothing.
    """
    sizes = pd.Series(groups).groupby(groups).transform("size").to_numpy()
    several = sizes > 1
    if not several.any():
        return []
    found = []
    for name in columns.columns:
        cells, group = columns[name].to_numpy()[several], groups[several]
        differing = [own for own in _found_in(cells, group) if len(own) > 1]
        words = set(words_of(str(name)))
        if not differing or words & _SEEDS or names_runs(str(name)):
            continue
        if words & _SETTINGS or (not words & _OUTCOMES and _come_again(differing, cells)):
            found.append(str(name))
    return found


def _come_again(differing: Sequence[tuple[str, ...]], cells: np.ndarray) -> bool:
    """Whether few values, or the same ratios of values, come again in group after group."""
    if len(set(cells)) * 2 <= len(cells) and _common(differing):
        return True
    return _common([_ratios(values) for values in differing])


def _common(differing: Sequence[tuple[str, ...]]) -> bool:
    own, most = Counter(differing).most_common(1)[0]
    return bool(own) and most >= 2 and most * 2 >= len(differing)


def _ratios(values: Sequence[str]) -> tuple[str, ...]:
    """Numbers as multiples of the smallest, as of rates that are swept around one that falls with size."""
    try:
        numbers = sorted(float(value) for value in values)
    except ValueError:
        return ()
    if not 0 < numbers[0] <= numbers[-1] < float("inf"):
        return ()
    return tuple(f"{number / numbers[0]:.3g}" for number in numbers)
