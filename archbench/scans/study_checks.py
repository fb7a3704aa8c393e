"""What can be judged of a spec's studies without text: names, sizes, and whether their laws will have enough points."""

from collections.abc import Collection, Iterator, Sequence

from archbench.contracts.values import Loc
from archbench.errors import nearest
from archbench.results.runs import SIZE_SCAN
from archbench.spec.models import Spec


def check_studies(spec: Spec) -> None:
    """Whether all that studies name is there. Raises SpecError at the place of the name."""
    for name, study in spec.studies.items():
        loc: Loc = ("studies", name)
        if name == SIZE_SCAN:
            raise spec.error(loc, f"{SIZE_SCAN!r} is the study that the section `scan` is; choose another name")
        if not study.in_specs:
            raise spec.error(
                (*loc, "kind"), f"{study.kind!r} trains nothing of its own, and every report that can has it"
            )
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
        for place, text in study.named_texts().items():
            _check_name(spec, (*loc, *place), "text of data", text, spec.data.all_texts)


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
        _check_name(spec, (*loc, index), "text of data", name, spec.data.texts)


def _check_names(spec: Spec, loc: Loc, named: Sequence[str], known: Collection[str]) -> None:
    for index, one in enumerate(named):
        _check_name(spec, (*loc, index), "contender", one, known)


def _check_name(spec: Spec, loc: Loc, what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise spec.error(loc, f"there is no {what} {name!r}{nearest(name, known)}")


def study_warnings(spec: Spec) -> Iterator[str]:
    """One line for each study that has too few points for its law, with what it lacks."""
    for name, study in spec.studies.items():
        for problem in study.shortcomings(len(study.sizes or spec.scan.sizes)):
            yield f"study {name}: {problem}"
