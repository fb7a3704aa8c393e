"""All studies of a spec, expanded to runs."""

from collections.abc import Iterator, Mapping

from archbench.contracts.study import StudyConfig
from archbench.data.corpus import Corpus
from archbench.errors import ArchbenchError, PluginError, in_one_line
from archbench.host import Host
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PlannedRun
from archbench.scans.run_planner import RunPlanner
from archbench.scans.study_ladder import ContenderLadder
from archbench.spec.models import Contender, Spec


def study_runs(
    spec: Spec, corpora: Mapping[str, Corpus], host: Host, store: RunStore | None = None
) -> Iterator[PlannedRun]:
    """The runs of all studies, study by study. Raises SpecError, DataError or PluginError as `RunPlanner.plan`."""
    for name, study in spec.studies.items():
        for contender in contenders_of(spec, study):
            planners = {
                text: RunPlanner(spec, contender, corpus, host, store, evaluated=evaluated_texts(spec, corpora))
                for text, corpus in corpora.items()
            }
            yield from planned(study, ContenderLadder(name, planners), host)


def planned(study: StudyConfig, ladder: ContenderLadder, host: Host) -> Iterator[PlannedRun]:
    """The runs of one study of one contender; what a plug-in's study throws becomes one line that names the plug-in."""
    plugin = host.registry.studies[study.kind].plugin
    where = f"study {ladder.name}, kind {study.kind!r}"
    try:
        with host.kept(plugin, where):
            runs = list(ladder.plan(study.requests(ladder)))
    except ArchbenchError:
        raise
    except (Exception, SystemExit) as error:  # the plug-in's own defect, not the user's and not archbench's
        raise PluginError(f"plug-in {plugin!r} failed on {where}: {in_one_line(error)}") from error
    yield from runs


def evaluated_texts(spec: Spec, corpora: Mapping[str, Corpus]) -> tuple[Corpus, ...]:
    """The corpora of `evaluation.texts`."""
    return tuple(corpora[name] for name in spec.evaluation.texts)


def contenders_of(spec: Spec, study: StudyConfig) -> list[Contender]:
    """Those that take part in `study`, in the order of the spec."""
    return [one for one in spec.contenders if study.contenders is None or one.name in study.contenders]
