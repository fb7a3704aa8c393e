"""Of how many settings the runs of each contender are the best, and whether one was chosen from more than another."""

from collections.abc import Iterable, Sequence
from typing import Any

from archbench.results.runs import IMPORTED, RunRecord

_CHOSEN_BY = "chosen_by"
_SETTINGS_TRIED = "settings_tried"


def choice_details(chosen_by: Sequence[str], settings_tried: int) -> dict[str, Any]:
    """What `RunRecord.details` holds of a run that is the best of `settings_tried` by the columns `chosen_by`."""
    return {_CHOSEN_BY: list(chosen_by), _SETTINGS_TRIED: settings_tried} if chosen_by else {}


def unequal_choices(records: Iterable[RunRecord]) -> str | None:
    """In a sentence, how usable imported runs of the contenders are the best of unequal numbers of settings.

    None where they are not. An imported run of which nothing was said is the one that its table had; how archbench's
    own runs were tuned stands elsewhere.
    """
    tried: dict[str, set[int]] = {}
    columns: list[str] = []
    for record in records:
        if record.usable and record.objective == IMPORTED:
            tried.setdefault(record.contender, set()).add(int(record.details.get(_SETTINGS_TRIED, 1)))
            columns += record.details.get(_CHOSEN_BY, ())
    spans = {name: (min(own), max(own)) for name, own in tried.items()}
    if len(set(spans.values())) < 2:
        return None
    most = sorted(spans, key=lambda name: spans[name][1], reverse=True)
    of = [_span(*spans[name]) for name in most]
    first = f"{most[0]} is the best of {of[0]} settings ({', '.join(dict.fromkeys(columns))}) a size"
    others = [f"{name} of {number}" for name, number in zip(most[1:], of[1:], strict=True)]
    return f"{', '.join([first, *others])}: a best of more settings is better tuned, and lower by chance as well"


def _span(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"
