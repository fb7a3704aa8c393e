"""Words on L(D) and L(N,D)."""

from archbench.report.words import with_interval
from archbench.studies.subsets.results import DataStudy, GridStudy
from archbench.studies.text import law_sentences, with_and_without_floor


def overfitting_text(study: GridStudy) -> str:
    """How the data must grow with the size."""
    exponent, factor = study.overfitting_exponent, study.overfitting_factor
    if exponent is None or factor is None:
        return "The data that a size needs is not known: L(N,D) was refused."
    return (
        f"To stay within {100 * study.overfitting_level:.0f} % of what infinite data would give, D must be at least "
        f"k·N^r with r {with_interval(exponent)} and k {with_interval(factor)} (Kaplan et al. 2020: about 5e3·N^0.74)."
    )


def data_sentences(study: DataStudy) -> list[str]:
    """The exponent of L(D), above a floor and without one where they differ."""
    return law_sentences(study, with_and_without_floor("L(D)", study.law, study.law_with_floor))


def grid_sentences(study: GridStudy) -> list[str]:
    """Both exponents."""
    return law_sentences(study, [("L(N,D)", study.law)])
