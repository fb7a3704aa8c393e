"""From a spec's file to a valid spec: its components looked up, its sections held against each other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archbench.contracts.architecture import ArchitectureConfig
from archbench.contracts.common_settings import CommonSettings
from archbench.contracts.values import Loc
from archbench.errors import PluginError, SpecError, in_one_line, nearest
from archbench.registry import Registered, Registry
from archbench.spec.controls import control_contenders
from archbench.spec.document import SpecDocument
from archbench.spec.identity import Role
from archbench.spec.layers import read_spec
from archbench.spec.models import Contender, DataChoice, Spec
from archbench.spec.problems import refuse_flags, spec_error
from archbench.spec.published import published_contenders
from archbench.spec.recipe import Recipe, own_recipe, shared_recipe
from archbench.spec.resolve import Resolver, component_problems
from archbench.spec.settings import DataSection, StatedSection, Unresolved
from archbench.spec.versions import component_identity, installed_libraries
from archbench.spec.yaml_loader import YamlFile


def load_spec(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> Spec:
    """The spec in `path`, with what it extends and the `overrides` of a command line, each KEY=VALUE.

    Raises SpecError with file and line, or PluginError where a component is not to be had.
    """
    return spec_from_yaml(read_spec(path, overrides), registry)


def spec_from_yaml(file: YamlFile, registry: Registry) -> Spec:
    """The spec that `file` holds; errors as `load_spec`, with all problems that can be told at once."""
    try:
        document = SpecDocument.model_validate(file.data)
    except ValidationError as error:
        raise _with_others(spec_error(file, error, SpecDocument), component_problems(file, registry)) from error
    try:
        return _spec_of(file, document, registry)
    except (SpecError, PluginError) as error:
        others = [*_document_problems(file, document, registry), *component_problems(file, registry)]
        raise _with_others(error, others) from error


def _with_others(first: SpecError | PluginError, others: Iterable[SpecError | PluginError]) -> SpecError | PluginError:
    """One error with the problems of all, each once."""
    errors = [first, *others]
    problems = dict.fromkeys(problem for error in errors for problem in error.problems)
    if len(problems) == len(first.problems):
        return first
    return (SpecError if any(isinstance(error, SpecError) for error in errors) else PluginError)(*problems)


def _document_problems(file: YamlFile, document: SpecDocument, registry: Registry) -> Iterator[SpecError | PluginError]:
    """What is wrong between the sections of a document, as far as one problem does not hide another."""
    resolve = Resolver(file)

    def recipes() -> None:
        shared = shared_recipe(document.training, registry.optimizers, resolve)
        for name, section in document.contenders.items():
            own_recipe(shared, section.training, registry.optimizers, resolve, ("contenders", name, "training"))

    checks: tuple[Callable[[], object], ...] = (
        lambda: refuse_flags(file, file.data, document, ()),
        lambda: _asked_baseline(file, document),
        lambda: _require_runs(file, document),
        lambda: _require_names_of_texts(file, document),
        recipes,
        lambda: published_contenders(file, document, document.baseline),
        lambda: _stated(file, document.data),
        lambda: _chain(file, document),
    )
    for check in checks:
        try:
            check()
        except (SpecError, PluginError) as error:
            yield error


def _require_runs(file: YamlFile, document: SpecDocument) -> None:
    if not document.scan.trained and not document.studies:
        raise file.error(("scan",), "give either tokens or tokens_per_param; only a spec with studies needs neither")


def _require_names_of_texts(file: YamlFile, document: SpecDocument) -> None:
    name = document.data.name
    if name in document.data.texts:
        raise file.error(("data", "texts", name), "is the name of the text in data.dataset; choose another")


def _spec_of(file: YamlFile, document: SpecDocument, registry: Registry) -> Spec:
    """The spec. Raises the first problem."""
    refuse_flags(file, file.data, document, ())
    baseline = _asked_baseline(file, document)
    _require_runs(file, document)
    _require_names_of_texts(file, document)
    data = document.data
    resolve = Resolver(file)
    recipe = shared_recipe(document.training, registry.optimizers, resolve)
    execution = document.execution
    executor = None
    if isinstance(execution.executor, Unresolved):
        executor = resolve(registry.executors, execution.executor, ("execution", "executor"))
    published = published_contenders(file, document, baseline)
    trained = [name for name in document.contenders if name not in published]
    contenders = tuple(_contender(name, document, registry, resolve, recipe) for name in trained)
    return Spec(
        name=document.name,
        description=document.description,
        baseline=baseline,
        contenders=contenders,
        published=published,
        names=tuple(document.contenders),
        data=DataChoice(
            dataset=resolve(registry.datasets, data.dataset, ("data", "dataset")),
            name=data.name,
            texts={
                name: resolve(registry.datasets, text, ("data", "texts", name)) for name, text in data.texts.items()
            },
            tokenizer=resolve(registry.tokenizers, data.tokenizer, ("data", "tokenizer")),
            order=data.order,
            validation_fraction=data.validation_fraction,
            max_epochs=data.max_epochs,
            stated=_stated(file, data),
        ),
        scan=document.scan,
        studies={name: resolve(registry.studies, study, ("studies", name)) for name, study in document.studies.items()},
        decompose=_chain(file, document),
        question=document.question,
        controls=control_contenders(file, document, baseline, contenders),
        training=document.training,
        recipe=recipe,
        common=document.common,
        evaluation=document.evaluation,
        execution=execution,
        executor=executor,
        trackers=tuple(
            resolve(registry.trackers, tracker, ("execution", "trackers", index))
            for index, tracker in enumerate(execution.trackers)
        ),
        file=file,
    )


def _asked_baseline(file: YamlFile, document: SpecDocument) -> str | None:
    """The contender that the others are compared with. Raises SpecError where it is none, or two places name two."""
    asked = document.question.baseline if document.question else None
    for loc, name in ((("baseline",), document.baseline), (("question", "baseline"), asked)):
        if name is not None and name not in document.contenders:
            raise file.error(loc, f"there is no contender {name!r}{nearest(name, document.contenders)}")
    if document.baseline and asked and document.baseline != asked:
        raise file.error(
            ("question", "baseline"),
            f"got {asked!r}, but the spec's baseline is {document.baseline!r}; a scan has one, name it once",
        )
    return document.baseline or asked


def _stated(file: YamlFile, data: DataSection) -> StatedSection | None:
    """`data.stated`. Raises SpecError where it does not name the spec's texts and no others."""
    if data.stated is None:
        return None
    names, loc = [data.name, *data.texts], ("data", "stated", "tokens")
    for name in data.stated.tokens:
        if name not in names:
            raise file.error((*loc, name), f"there is no text {name!r}{nearest(name, names)}")
    for name in names:
        if name not in data.stated.tokens:
            raise file.error(loc, f"gives no tokens of the text {name!r}; state them for every text")
    return data.stated


def _chain(file: YamlFile, document: SpecDocument) -> tuple[str, ...]:
    """The names under `decompose`. Raises SpecError for one that is no contender, or stands there twice."""
    chain = tuple(document.decompose or ())
    for index, name in enumerate(chain):
        loc = ("decompose", index)
        if name not in document.contenders:
            raise file.error(loc, f"there is no contender {name!r}{nearest(name, document.contenders)}")
        if name in chain[:index]:
            raise file.error(loc, f"{name!r} stands there twice; each step leads to another contender")
    if chain and not document.scan.trained:
        raise file.error(("decompose",), "needs the scan of sizes: give scan.tokens or scan.tokens_per_param")
    return chain


def _contender(name: str, document: SpecDocument, registry: Registry, resolve: Resolver, shared: Recipe) -> Contender:
    section = document.contenders[name]
    assert section.architecture is not None, "it is no published entry"
    loc = ("contenders", name)
    architecture = resolve(registry.architectures, section.architecture, (*loc, "architecture"))
    not_kept: tuple[str, ...] = ()
    if not section.as_published:
        architecture, not_kept = _with_common(architecture, document.common, registry, resolve, loc)
    objective = section.objective or document.objective
    objective_loc: Loc = (*loc, "objective") if section.objective else ("objective",)
    resolved_objective = resolve(registry.objectives, objective, objective_loc)
    recipe = own_recipe(shared, section.training, registry.optimizers, resolve, (*loc, "training"))
    entries: dict[Role, Registered[Any]] = {
        "architecture": registry.architectures[architecture.kind],
        "objective": registry.objectives[resolved_objective.kind],
        "optimizer": registry.optimizers[recipe.optimizer.config.kind],
    }
    return Contender(
        name=name,
        architecture=architecture,
        objective=resolved_objective,
        recipe=recipe,
        components={role: component_identity(entry) for role, entry in entries.items()},
        libraries=installed_libraries((architecture, resolved_objective, recipe.optimizer.config)),
        start=tuple(resolve.file.place((*loc, "start")).folder / folder for folder in section.start),
        as_published=section.as_published,
        not_kept=not_kept,
    )


def _with_common(
    architecture: ArchitectureConfig, common: CommonSettings, registry: Registry, resolve: Resolver, loc: Loc
) -> tuple[ArchitectureConfig, tuple[str, ...]]:
    """`architecture` with what all contenders have alike, and what of it it cannot have. Raises PluginError."""
    if common == CommonSettings():
        return architecture, ()
    place = (*loc, "architecture")
    try:
        changed, not_kept = architecture.with_common(common)
    except (Exception, SystemExit) as error:  # the plug-in's own code
        plugin = registry.architectures[architecture.kind].plugin
        raise PluginError(
            f"{resolve.file.where(place)}: plug-in {plugin!r} failed on the settings under `common`: "
            f"{in_one_line(error)}"
        ) from error
    changed.stands_in(resolve.file.place((*place, "kind")).folder)
    return changed, not_kept
