"""What can be judged of a spec's studies without text: names, sizes, and whether their laws will have enough points."""

from collections.abc import Collection, Iterator, Sequence

from archbench.errors import nearest
from archbench.results.runs import SIZE_SCAN
from archbench.spec.models import Spec
from archbench.spec.studies import (
    BatchScanStudy,
    DataScanStudy,
    GridStudy,
    IsoflopStudy,
    LearningCurvesStudy,
    Study,
    TransferStudy,
)
from archbench.spec.yaml_loader import Loc
from archbench.units import counted

MIN_POINTS = 4
"""Of a law in one quantity, to be trusted: one more than the parameters of a power law with a floor."""
MIN_SIZES = 3
"""Of a law in two quantities, and of the parabola of an isoFLOP budget."""


def check_studies(spec: Spec) -> None:
    """Whether all that studies name is there. Raises SpecError at the place of the name."""
    for name, study in spec.studies.items():
        loc: Loc = ("studies", name)
        if name == SIZE_SCAN:
            raise spec.error(loc, f"{SIZE_SCAN!r} is the study that the section `scan` is; choose another name")
        for index, size in enumerate(study.sizes or ()):
            if size not in spec.scan.sizes:
                ladder = ", ".join(f"{one:g}" for one in spec.scan.sizes)
                raise spec.error((*loc, "sizes", index), f"got {size:g}, expected one of scan.sizes: {ladder}")
        for index, one in enumerate(study.contenders or ()):
            if one in spec.published:
                raise spec.error(
                    (*loc, "contenders", index), f"{one!r} is a published entry; studies train what they ask"
                )
        _check_names(spec, (*loc, "contenders"), study.contenders or (), [one.name for one in spec.contenders])
        texts = spec.data.all_texts
        if isinstance(study, TransferStudy):
            for number, direction in enumerate(study.directions):
                for key, named in (("source", direction.source), ("target", direction.target)):
                    _check_names(spec, (*loc, "directions", number, key), named, texts)
        elif study.text is not None:
            _check_names(spec, (*loc, "text"), study.text, texts)


def check_evaluated_texts(spec: Spec) -> None:
    """Whether `evaluation.texts` names other texts of the spec, each once. Raises SpecError where it does not."""
    loc: Loc = ("evaluation", "texts")
    for index, name in enumerate(spec.evaluation.texts):
        if name == spec.data.name:
            raise spec.error(
                (*loc, index), f"{name!r} is the text of data.dataset, on which every run is evaluated anyway; drop it"
            )
        if name in spec.evaluation.texts[:index]:
            raise spec.error((*loc, index), f"{name!r} stands there twice")
    _check_names(spec, loc, spec.evaluation.texts, spec.data.texts)


def _check_names(spec: Spec, loc: Loc, named: str | Sequence[str], known: Collection[str]) -> None:
    places = {loc: named} if isinstance(named, str) else {(*loc, index): one for index, one in enumerate(named)}
    what = "contender" if loc[-1] == "contenders" else "text of data"
    for place, one in places.items():
        if one not in known:
            raise spec.error(place, f"there is no {what} {one!r}{nearest(one, known)}")


def study_warnings(spec: Spec) -> Iterator[str]:
    """One line for each study that has too few points for its law, with what it lacks."""
    for name, study in spec.studies.items():
        for problem in _thin(study, len(study.sizes or spec.scan.sizes)):
            yield f"study {name}: {problem}"


def _thin(study: Study, num_sizes: int) -> Iterator[str]:
    match study:
        case DataScanStudy():
            yield from _few(len(study.unique_tokens), MIN_POINTS, "amount of text", "L(D)")
        case GridStudy():
            yield from _few(num_sizes, MIN_SIZES, "size", "L(N,D)")
            yield from _few(len(study.unique_tokens), MIN_SIZES, "amount of text", "L(N,D)")
        case IsoflopStudy():
            yield from _few(num_sizes, MIN_POINTS, "size", "a parabola in ln N with an interior minimum")
            yield from _few(len(study.budgets), MIN_SIZES, "budget", "the exponents of allocation")
        case BatchScanStudy():
            yield from _few(len(study.batch_tokens), MIN_POINTS, "size of batch", "S_min and E_min")
        case LearningCurvesStudy():
            yield from _few(num_sizes, MIN_SIZES, "size", "L(N,S)")
        case TransferStudy():
            yield from _thin_transfer(study, num_sizes)


def _thin_transfer(study: TransferStudy, num_sizes: int) -> Iterator[str]:
    yield from _few(num_sizes, MIN_SIZES, "size", "the exponent of N")
    yield from _few(len(study.finetune_tokens), MIN_SIZES, "amount of fine-tuning text", "the exponent of D_F")
    yield from _few(len(study.scratch_tokens), MIN_POINTS, "amount of text from scratch", "a curve to read D_E from")
    if study.scratch_tokens[0] > study.finetune_tokens[0]:
        yield "scratch_tokens begin above finetune_tokens: where pre-training hurts there, D_E is only bounded"
    if study.scratch_tokens[-1] < 4.0 * study.finetune_tokens[-1]:
        yield (
            "scratch_tokens end below four times the largest finetune_tokens: where pre-training helps more, D_E is "
            "only bounded"
        )


def _few(count: int, needed: int, what: str, law: str) -> Iterator[str]:
    if count < needed:
        # `1 size`, `1 amount of text`: the first word is what is counted.
        counted_word, *rest = what.split(" ", 1)
        yield f"{' '.join([counted(count, counted_word), *rest])}: {law} needs at least {needed} to be trusted"
