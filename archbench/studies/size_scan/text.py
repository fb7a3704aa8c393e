"""Words on L(N)."""

from archbench.studies.size_scan.results import SizeStudy
from archbench.studies.text import law_sentences, with_and_without_floor

_TOKENS_RISE = 1.1
"""Factor between the tokens of two sizes up to which they count as equal."""


def sentences(study: SizeStudy) -> list[str]:
    """The exponent of L(N); none where the larger sizes saw fewer tokens, as on isoFLOP grids."""
    if study.tokens_ratio < 1 / _TOKENS_RISE:
        return []
    # Where tokens rise with size the exponent is that of both together.
    rise = " of this ladder, whose tokens rise with N," if study.tokens_ratio > _TOKENS_RISE else ""
    return law_sentences(study, with_and_without_floor(f"L(N){rise}", study.law, study.law_with_floor))
