"""How far losses hang on the choice of held-out text: a bootstrap over documents, and the order on each text.

Legend: G groups of whole documents, R resamples, l summed nats of a group, n its predicted tokens; L = sum l / sum n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from archbench.analysis.frontier.scan import StudyOptions, compare_all, fit_contenders
from archbench.results.fits import Comparison
from archbench.results.runs import CostAxis, FinalEvaluation, RunRecord
from archbench.results.texts import TextError, TextStanding

Floats = NDArray[np.float64]

NUM_RESAMPLES = 1000
MIN_GROUPS = 8
"""Of fewer groups a bootstrap says little: its standard error is too small by a factor sqrt((G - 1)/G), and rough."""
MACRO_AVERAGE = "macro average"


def text_errors(records: Sequence[RunRecord], baseline: str | None, *, seed: int = 0) -> tuple[TextError, ...]:
    """For each contender whose runs were evaluated document by document, the standard error from the choice of text.

    Resamples draw G groups with replacement, the same for all contenders that share their groups (Efron and Tibshirani
    1993, chapter 6; the loss is a ratio of sums, so groups of unequal size weigh by their tokens).
    """
    largest = {name: cell for name in dict.fromkeys(run.contender for run in records) if (cell := _cell(records, name))}
    found = []
    for name, runs in largest.items():
        final, size_index = _mean_over_seeds(runs), runs[0].size_index
        others = [] if baseline in (None, name) else _cell(records, str(baseline), size_index)
        alike = bool(others) and others[0].track == runs[0].track
        against = _mean_over_seeds(others) if alike and _paired(final, _mean_over_seeds(others)) else None
        drawn = _resampled(final, seed)
        difference = None if against is None else final.loss_nats - against.loss_nats
        rivals = None if against is None else _resampled(against, seed)
        apart = None if drawn is None or rivals is None else drawn - rivals
        found.append(
            TextError(
                contender=name,
                size_index=size_index,
                num_documents=final.num_documents,
                num_groups=len(final.nats),
                loss_nats=final.loss_nats,
                error_nats=None if drawn is None else float(drawn.std(ddof=1)),
                difference_nats=difference,
                difference_error_nats=None if apart is None else float(apart.std(ddof=1)),
            )
        )
    return tuple(found)


def _cell(records: Sequence[RunRecord], contender: str, size_index: int | None = None) -> list[RunRecord]:
    """Runs of the contender's longest budget at that size, or at its largest, that were evaluated by document."""
    runs = [run for run in records if run.contender == contender and run.usable and run.final is not None]
    size = max((run.size_index for run in runs), default=0) if size_index is None else size_index
    runs = [run for run in runs if run.size_index == size]
    longest = max((run.planned_tokens for run in runs), default=0)
    return [run for run in runs if run.planned_tokens == longest]


def _mean_over_seeds(runs: Sequence[RunRecord]) -> FinalEvaluation:
    """The mean nats of each group over the runs, which share their groups as runs of one plan do."""
    finals = [run.final for run in runs if run.final is not None]
    nats = np.mean([one.nats for one in finals], axis=0)
    return replace(finals[0], nats=tuple(nats.tolist()))


def _paired(one: FinalEvaluation, other: FinalEvaluation) -> bool:
    """Whether two evaluations are of the same groups of the same documents."""
    return (one.predictions, one.documents, one.utf8_bytes) == (other.predictions, other.documents, other.utf8_bytes)


def _resampled(final: FinalEvaluation, seed: int) -> Floats | None:
    """[R]: L of each resample; None of too few groups. The same seed draws the same groups."""
    groups = len(final.nats)
    if groups < MIN_GROUPS:
        return None
    counts = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1.0 / groups), size=NUM_RESAMPLES)
    loss: Floats = (counts @ np.array(final.nats)) / (counts @ np.array(final.predictions, dtype=float))
    return loss


def standings_by_text(
    records: Sequence[RunRecord],
    texts: Mapping[str, str],
    own: str,
    axis: CostAxis,
    baseline: str | None,
) -> tuple[TextStanding, ...]:
    """Each contender on its own text, on each of the other `texts` (hash -> name), and on the mean over them.

    own: the name of the text that the runs were trained on. On every text the multiplier over the baseline is read from
    the runs' losses there, on `axis`, over the middle half of those that both reach: the losses of one text are no
    window on another. Reference lines are of the own text; on others none is known. Empty where no run was evaluated
    elsewhere.
    """
    hashes = [one for one in texts if any(one in run.other_losses_nats for run in records if run.usable)]
    whole = [run for run in records if run.usable and all(one in run.other_losses_nats for one in hashes)]
    if not hashes or not whole:
        return ()
    by_text = {own: [_with_loss(run, _own_loss(run), run.reference_lines) for run in whole]}
    by_text |= {texts[one]: [_with_loss(run, run.other_losses_nats[one], {}) for run in whole] for one in hashes}
    means = [np.mean([_own_loss(run), *(run.other_losses_nats[one] for one in hashes)]) for run in whole]
    by_text[MACRO_AVERAGE] = [_with_loss(run, float(mean), {}) for run, mean in zip(whole, means, strict=True)]
    found: list[TextStanding] = []
    for text, runs in by_text.items():
        against = {one.contender: one.headline for one in _compared(runs, axis, baseline) if one.baseline == baseline}
        for track in dict.fromkeys(run.track for run in runs):
            size_index, losses = _largest_shared([run for run in runs if run.track == track])
            order = sorted(losses, key=lambda name: losses[name])
            found += [
                TextStanding(text, track, name, size_index, losses[name], rank, against.get(name))
                for rank, name in enumerate(order, 1)
            ]
    return tuple(found)


def order_changes(standings: Sequence[TextStanding], track: str) -> dict[str, tuple[str, ...]]:
    """Text -> contenders of the track from the lowest loss up; empty where the order is the same on every text."""
    orders: dict[str, tuple[str, ...]] = {}
    for one in sorted(standings, key=lambda one: one.rank):
        if one.track == track and one.text != MACRO_AVERAGE:
            orders[one.text] = (*orders.get(one.text, ()), one.contender)
    return orders if len(set(orders.values())) > 1 else {}


def _own_loss(run: RunRecord) -> float:
    loss = run.final_loss_nats
    assert loss is not None, "a usable run has a curve"
    return loss


def _with_loss(run: RunRecord, loss_nats: float, lines: Mapping[str, float]) -> RunRecord:
    """The run as a finished point alone, with its loss on one text and the reference lines of that text."""
    end = replace(run.curve[-1], validation_loss_nats=loss_nats, bits_per_byte=None)
    return replace(run, curve=(end,), final=None, reference_lines=lines)


def _compared(runs: Sequence[RunRecord], axis: CostAxis, baseline: str | None) -> list[Comparison]:
    if baseline is None:
        return []
    return compare_all(fit_contenders(runs, axis, baseline=baseline, options=StudyOptions(floor="none")), baseline)


def _largest_shared(runs: Sequence[RunRecord]) -> tuple[int, dict[str, float]]:
    """The largest size that all contenders have, and the mean loss of each there; of one budget, the longest."""
    names = dict.fromkeys(run.contender for run in runs)
    sizes = [{run.size_index for run in runs if run.contender == name} for name in names]
    shared = set.intersection(*sizes)
    size_index = max(shared or set.union(*sizes))
    losses: dict[str, float] = {}
    for name in names:
        there = [run for run in runs if run.contender == name and run.size_index == size_index]
        longest = max((run.planned_tokens for run in there), default=0)
        if there:
            losses[name] = float(np.mean([_own_loss(run) for run in there if run.planned_tokens == longest]))
    return size_index, losses
