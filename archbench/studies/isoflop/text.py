"""Tables and words of equal budgets."""

from archbench.report.plotting import markdown_table
from archbench.report.words import number, with_interval
from archbench.results.fits import FitStatus
from archbench.studies.isoflop.results import Allocation, IsoflopStudy
from archbench.units import human_count


def isoflop_table(study: IsoflopStudy) -> str:
    """Best size and data of each budget, then the exponents by every approach."""
    budgets = [
        [
            f"{budget.flops:.3g}",
            str(len(budget.points)),
            human_count(budget.best_params) if budget.best_params else f"`{budget.status.value}`",
            human_count(budget.best_tokens) if budget.best_tokens else "-",
            number(budget.loss_nats, 4) if budget.loss_nats else "-",
            budget.reason or "-",
        ]
        for budget in study.budgets
    ]
    rows = [
        [
            one.approach,
            with_interval(one.params_exponent) if one.params_exponent else f"`{one.status.value}`",
            with_interval(one.tokens_exponent) if one.tokens_exponent else "-",
            str(one.points),
            one.reason or "-",
        ]
        for one in study.allocations
    ]
    first = markdown_table(["budget (FLOPs)", "runs", "best N", "best D", "loss (nats)", "why not"], budgets,
                           right=(0, 1, 2, 3, 4))  # fmt: skip
    second = markdown_table(["approach", "N ~ C^a, a", "D ~ C^b, b", "points", "why not"], rows, right=(1, 2, 3))
    return f"{first}\n\n{second}"


def sentences(study: IsoflopStudy) -> list[str]:
    """How the best size grows with compute, by each approach."""
    return [f"{study.contender}, {study.study}: {_growth(one)}." for one in study.allocations]


def _growth(one: Allocation) -> str:
    if one.status is not FitStatus.OK or one.params_exponent is None:
        return f"the best N by {one.approach} was refused (`{one.status.value}`: {one.reason})"
    return f"the best N by {one.approach} grows as C^{with_interval(one.params_exponent)}"
