"""Words on the best use of compute."""

from archbench.report.words import with_interval
from archbench.studies.learning_curves.results import LearningCurveStudy


def allocation_text(study: LearningCurveStudy) -> str:
    """The identity of the exponents, and how a budget is spent."""
    check = study.allocation
    if check is None:
        return ""
    measured = "L(C_min) itself was refused"
    if check.measured_alpha_c is not None:
        measured = f"L(C_min) itself gives {with_interval(check.measured_alpha_c)}"
    verdict = {True: "the two agree", False: "**the two do not agree**", None: "nothing to hold it against"}
    return (
        f"1/α_C = 1/α_N + 1/α_B + 1/α_S gives α_C {with_interval(check.predicted_alpha_c)}; {measured}: "
        f"{verdict[check.consistent]}. Best use of compute: N ~ C^{with_interval(check.params_exponent)}, "
        f"B ~ C^{with_interval(check.batch_exponent)}, S ~ C^{with_interval(check.steps_exponent)}."
    )
