"""All that a plug-in imports, in one place (torch modules derive from `archbench.nn.language_model.LanguageModel`)."""

from archbench.contracts.architecture import (
    ArchitectureConfig,
    Attention,
    ForwardFlops,
    ModelDims,
    ParamCount,
    SavedModel,
    Source,
    require_settings,
)
from archbench.contracts.config import ComponentConfig
from archbench.contracts.data import DatasetConfig, Document, NestedDataset, Tokenizer, TokenizerConfig
from archbench.contracts.executor import Ended, Executor, ExecutorConfig, ExecutorEvent, Job, Lost, Progress
from archbench.contracts.ladder import nearest_dims, with_gated_feed_forward
from archbench.contracts.objective import (
    IGNORE_TARGET,
    ExampleContext,
    LossParts,
    ObjectiveConfig,
    TokenSource,
    Windows,
)
from archbench.contracts.report import Column, DataTable, ReportSection, ScanResults
from archbench.contracts.tracker import Tracker, TrackerConfig
from archbench.errors import ArchbenchError, DataError, PluginError, SpecError, StoreError
from archbench.hookspecs import HOOK_API_VERSION, hookimpl
from archbench.results.fits import (
    Comparison,
    FitResult,
    FitStatus,
    FrontierPoint,
    FrontierResult,
    Interval,
    MultiplierPoint,
    PointKind,
    SizeLeadership,
    Tier,
)
from archbench.results.runs import CostAxis, CurvePoint, PrefixAudit, RunRecord, RunState

__all__ = [
    "HOOK_API_VERSION",
    "IGNORE_TARGET",
    "ArchbenchError",
    "ArchitectureConfig",
    "Attention",
    "Column",
    "Comparison",
    "ComponentConfig",
    "CostAxis",
    "CurvePoint",
    "DataError",
    "DataTable",
    "DatasetConfig",
    "Document",
    "Ended",
    "ExampleContext",
    "Executor",
    "ExecutorConfig",
    "ExecutorEvent",
    "FitResult",
    "FitStatus",
    "ForwardFlops",
    "FrontierPoint",
    "FrontierResult",
    "Interval",
    "Job",
    "LossParts",
    "Lost",
    "ModelDims",
    "MultiplierPoint",
    "NestedDataset",
    "ObjectiveConfig",
    "ParamCount",
    "PluginError",
    "PointKind",
    "PrefixAudit",
    "Progress",
    "ReportSection",
    "RunRecord",
    "RunState",
    "SavedModel",
    "ScanResults",
    "SizeLeadership",
    "Source",
    "SpecError",
    "StoreError",
    "Tier",
    "TokenSource",
    "Tokenizer",
    "TokenizerConfig",
    "Tracker",
    "TrackerConfig",
    "Windows",
    "hookimpl",
    "nearest_dims",
    "require_settings",
    "with_gated_feed_forward",
]
