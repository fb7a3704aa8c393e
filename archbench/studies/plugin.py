"""The kinds of studies that come with archbench."""

from archbench.contracts.study import StudyConfig
from archbench.hookspecs import hookimpl
from archbench.studies.batch_scan.config import BatchScanConfig, NoiseScaleConfig
from archbench.studies.decomposition.config import DecompositionConfig
from archbench.studies.isoflop.config import IsoflopConfig
from archbench.studies.learning_curves.config import LearningCurvesConfig
from archbench.studies.size_scan.config import SizeScanConfig
from archbench.studies.subsets.config import DataScanConfig, GridConfig
from archbench.studies.transfer.config import TransferConfig


@hookimpl
def register_studies() -> list[type[StudyConfig]]:
    """All of them."""
    return [
        SizeScanConfig,
        DataScanConfig,
        GridConfig,
        IsoflopConfig,
        BatchScanConfig,
        LearningCurvesConfig,
        TransferConfig,
        DecompositionConfig,
        NoiseScaleConfig,
    ]
