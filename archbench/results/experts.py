"""Mixtures of experts: which N is meant where some parameters lie idle, and how much memory their weights take."""

from collections.abc import Iterable

from archbench.results.runs import RunRecord

WEIGHT_BYTES = 4
"""Of one parameter, as training holds it, whatever the precision of its products."""
CONVENTION = "N counts all parameters without embeddings; 6ND and executed FLOPs are of those that a token uses"


def weight_bytes(run: RunRecord) -> int:
    """Bytes of all its weights, with embeddings and idle experts, in single precision."""
    return WEIGHT_BYTES * run.total_params


def mixtures(records: Iterable[RunRecord]) -> list[str]:
    """The contenders of which a token uses a part of the parameters, in the order of `records`."""
    return list(dict.fromkeys(run.contender for run in records if run.active_params < run.non_embedding_params))


def convention_beside_dense(records: Iterable[RunRecord]) -> str | None:
    """In a sentence, what N and FLOPs count where mixtures of experts stand in one table; None where there are none."""
    names = mixtures(records)
    if not names:
        return None
    are = "is a mixture" if len(names) == 1 else "are mixtures"
    return f"{', '.join(names)} {are} of experts: {CONVENTION}"
