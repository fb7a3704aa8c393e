"""Tables and words of batch scans and gradient noise."""

from archbench.display import markdown_text
from archbench.report.plotting import markdown_table
from archbench.report.words import number, with_interval
from archbench.results.fits import FitStatus
from archbench.studies.batch_scan.results import BatchStudy, NoiseScaleStudy
from archbench.units import human_count


def trade_off_table(study: BatchStudy) -> str:
    """Every target with its S_min, E_min and B_crit, or its status."""
    rows = []
    for one in study.trade_offs:
        found = [one.critical_batch_tokens, one.steps_min, one.tokens_min]
        texts = [with_interval(value) if value is not None else f"`{one.status.value}`" for value in found]
        reached = f"{len(one.points) - one.censored} of {len(one.points)}"
        rows.append(
            [human_count(one.non_embedding_params), number(one.loss_nats, 4), reached, *texts, one.reason or "-"]
        )
    header = ["N", "loss (nats)", "runs that reach it", "B_crit (tokens)", "S_min", "E_min (tokens)", "why not"]
    return markdown_table(header, rows, right=(0, 1, 2, 3, 4, 5))


def agreement_text(study: NoiseScaleStudy, factor: float) -> str:
    """Whether noise scale and batch scan agree, by a factor that was set before either was measured."""
    read = sum(window.status is FitStatus.OK for window in study.windows)
    words = f"{markdown_text(study.contender)}: {read} of {len(study.windows)} windows of gradient noise may be read."
    if study.agreement is None:
        return f"{words} No batch scan gives a B_crit at the losses of two windows or more to hold it against."
    ratio = study.agreement.ratio
    says = "agree" if 1 / factor <= ratio.value <= factor else "**do not agree**"
    return (
        f"{words} From {study.agreement.at} the noise scale is {with_interval(ratio)} times B_crit: they {says} within "
        f"the factor of {factor:g} that was set beforehand."
    )


def noise_table(study: NoiseScaleStudy) -> str:
    """Every window with its two averages and their ratio."""
    rows = [
        [
            human_count(window.non_embedding_params),
            human_count(window.batch_tokens),
            number(window.loss_nats, 4),
            str(window.measurements),
            number(window.gradient_squared),
            number(window.trace_covariance),
            with_interval(window.noise_scale_tokens) if window.noise_scale_tokens else f"`{window.status.value}`",
        ]
        for window in study.windows
    ]
    header = ["N", "batch", "loss (nats)", "measurements", "|G|²", "tr Σ a token", "B_simple (tokens)"]
    return markdown_table(header, rows, right=tuple(range(7)))
