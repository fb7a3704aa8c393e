"""What `archbench plan` says of contenders that are published entries: runs that are there, and cost nothing."""

from collections.abc import Callable, Iterator, Sequence

from archbench.cli.outputs.plans import PublishedRow
from archbench.results.published import PUBLISHED, publication_of
from archbench.results.runs import RunRecord, purpose
from archbench.units import human_count


def published_cells(records: Sequence[RunRecord]) -> Iterator[dict[str, str]]:
    """The rows of the plan's table, by the names of its columns: one for each contender, size and length."""
    groups: dict[tuple[str, int, int], list[RunRecord]] = {}
    for one in records:
        groups.setdefault((one.contender, one.size_index, one.planned_tokens), []).append(one)
    previous = ""
    for (contender, _, _), group in groups.items():
        ends = [one.curve[-1] for one in group if one.curve]
        yield {
            "for": purpose(group[0]) if not previous else "",
            "contender": contender if contender != previous else "",
            "N": f"{group[0].non_embedding_params:,}",
            "runs": str(len(group)),
            "tokens": human_count(group[0].planned_tokens),
            "epochs": span([one.planned_tokens / (one.unique_tokens or 1) for one in group], lambda one: f"{one:.2f}"),
            "6ND": span([end.kaplan_flops for end in ends], human_count),
            "exact": span([end.exact_flops for end in ends], human_count),
            "time a run": "-",
            "state": PUBLISHED,
        }
        previous = contender


def span(values: Sequence[float], words: Callable[[float], str]) -> str:
    """Smallest and largest of `values`, or the one that all are; a dash of none."""
    if not values:
        return "-"
    low, high = words(min(values)), words(max(values))
    return low if low == high else f"{low}–{high}"


def published_rows(records: Sequence[RunRecord]) -> list[PublishedRow]:
    """The runs as `--json` prints them."""
    rows = []
    for one in records:
        publication = publication_of(one)
        assert publication is not None, "they are runs of entries"
        rows.append(
            PublishedRow(
                contender=one.contender,
                entry=publication.entry,
                digest=publication.digest,
                size_index=one.size_index,
                seed=one.seed,
                run_id=one.run_id,
                published_run_id=publication.run_id,
                state=one.state.value,
                non_embedding_params=one.non_embedding_params,
                embedding_params=one.embedding_params,
                tokens=one.planned_tokens,
                exact_flops=one.curve[-1].exact_flops if one.curve else None,
                validation_loss_nats=one.final_loss_nats,
            )
        )
    return rows
