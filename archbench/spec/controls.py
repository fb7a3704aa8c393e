"""The controls that a question asks for, as contenders of their own that are ranked nowhere."""

from collections.abc import Sequence
from dataclasses import replace

from archbench.spec.document import SpecDocument
from archbench.spec.models import Contender
from archbench.spec.yaml_loader import YamlFile

BASELINE_AGAIN = "baseline_again"
SHUFFLED_TARGETS = "shuffled_targets"
OTHER_SEEDS = 1000
"""First seed of `baseline_again`: beyond those that a scan can have."""
_OPTION = "shuffle_targets"


def control_contenders(
    file: YamlFile, document: SpecDocument, baseline: str | None, contenders: Sequence[Contender]
) -> tuple[Contender, ...]:
    """A contender for each control that the question asks for, named after it.

    Raises SpecError where there is no baseline or size scan, where a contender has that name, and where the baseline's
    objective cannot be trained on shuffled targets.
    """
    asked = document.question.controls if document.question else ()
    loc = ("question", "controls")
    if not asked:
        return ()
    if baseline is None:
        raise file.error(loc, "are ladders of the baseline, and none is named; add question.baseline")
    if not document.scan.trained:
        raise file.error(loc, "need the scan of sizes: give scan.tokens or scan.tokens_per_param")
    base = next(one for one in contenders if one.name == baseline)
    made = []
    for index, kind in enumerate(asked):
        if kind in document.contenders:
            raise file.error(("contenders", kind), "is the name of a control of the question; choose another")
        if kind == BASELINE_AGAIN:
            made.append(replace(base, name=kind, first_seed=OTHER_SEEDS))
            continue
        if _OPTION not in type(base.objective).model_fields:
            raise file.error(
                (*loc, index),
                f"objective {base.objective.kind!r} of {baseline!r} has no {_OPTION}; leave this control out, or take "
                "a baseline of causal_lm",
            )
        made.append(replace(base, name=kind, objective=base.objective.model_copy(update={_OPTION: True})))
    return tuple(made)
