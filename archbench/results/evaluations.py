"""On what text runs were evaluated, and whether that is the same for all that stand side by side."""

from collections.abc import Iterable

from archbench.results.runs import RunRecord


def unlike_evaluations(records: Iterable[RunRecord]) -> str | None:
    """In a sentence, how usable runs were evaluated on different parts of the held-out text; None where they were not.

    A loss on other documents is another one, for all contenders by much the same amount: two that were evaluated alike
    do not have that difference between them. Nothing is known of imported runs.
    """
    found: dict[str, set[str]] = {}
    for record in records:
        settings = (record.details.get("identity") or {}).get("evaluation")
        if record.usable and settings is not None:
            found.setdefault(record.contender, set()).add(
                _text_of(settings.get("tokens"), settings.get("final_tokens"))
            )
    if len(set().union(*found.values())) < 2:
        return None
    each = "; ".join(f"{name} on {' and on '.join(sorted(texts))}" for name, texts in found.items())
    return f"finished runs were evaluated on different held-out text, which differs in loss by itself: {each}"


def _text_of(tokens: object, final_tokens: object) -> str:
    if final_tokens == "all":
        return "all of it"
    return f"{final_tokens or tokens:,} tokens of it, {'by document' if final_tokens else 'as the curve'}"
