"""All studies of a spec, expanded to runs."""

from collections.abc import Iterator, Mapping

from archbench.data.corpus import Corpus
from archbench.host import Host
from archbench.runs.store import RunStore
from archbench.scans.planned_run import PendingRuns, PlannedRun
from archbench.scans.run_planner import RunPlanner
from archbench.scans.studies.batch_scan import batch_scan
from archbench.scans.studies.data_scan import data_scan, grid
from archbench.scans.studies.ground import StudyGround
from archbench.scans.studies.isoflop import isoflop
from archbench.scans.studies.learning_curves import learning_curves
from archbench.scans.studies.transfer import transfer
from archbench.spec.models import Contender, Spec
from archbench.spec.studies import (
    BatchScanStudy,
    DataScanStudy,
    GridStudy,
    IsoflopStudy,
    LearningCurvesStudy,
    Study,
    TransferStudy,
)


def study_runs(
    spec: Spec, corpora: Mapping[str, Corpus], host: Host, store: RunStore | None = None
) -> Iterator[PlannedRun | PendingRuns]:
    """The runs of all studies, study by study, and those that wait for runs in `store`.

    Raises SpecError, DataError or PluginError as `RunPlanner.plan`.
    """
    for name, study in spec.studies.items():
        for contender in contenders_of(spec, study):
            planners = {
                text: RunPlanner(spec, contender, corpus, host, store, evaluated=evaluated_texts(spec, corpora))
                for text, corpus in corpora.items()
            }
            yield from expand(study, StudyGround(name, planners))


def evaluated_texts(spec: Spec, corpora: Mapping[str, Corpus]) -> tuple[Corpus, ...]:
    """The corpora of `evaluation.texts`."""
    return tuple(corpora[name] for name in spec.evaluation.texts)


def expand(study: Study, ground: StudyGround) -> Iterator[PlannedRun]:
    """The runs of one study of one contender."""
    match study:
        case DataScanStudy():
            return data_scan(study, ground)
        case GridStudy():
            return grid(study, ground)
        case IsoflopStudy():
            return isoflop(study, ground)
        case BatchScanStudy():
            return batch_scan(study, ground)
        case LearningCurvesStudy():
            return learning_curves(study, ground)
        case TransferStudy():
            return transfer(study, ground)


def contenders_of(spec: Spec, study: Study) -> list[Contender]:
    """Those that take part in `study`, in the order of the spec."""
    return [one for one in spec.contenders if study.contenders is None or one.name in study.contenders]
