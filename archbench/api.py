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
from archbench.contracts.ladder import nearest_dims, with_depth_of_its_width, with_even_heads
from archbench.contracts.objective import (
    IGNORE_TARGET,
    ExampleContext,
    LossParts,
    ObjectiveConfig,
    TokenSource,
    Windows,
)
from archbench.contracts.report import ReportSection, ScanResults
from archbench.contracts.tracker import Tracker, TrackerConfig
from archbench.contracts.transformer import (
    EncoderConfig,
    TransformerConfig,
    block_flops,
    block_params,
    layer_norm_params,
    saved_encoder_dims,
)
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
    "Comparison",
    "ComponentConfig",
    "CostAxis",
    "CurvePoint",
    "DataError",
    "DatasetConfig",
    "Document",
    "EncoderConfig",
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
    "TransformerConfig",
    "Windows",
    "block_flops",
    "block_params",
    "hookimpl",
    "layer_norm_params",
    "nearest_dims",
    "require_settings",
    "saved_encoder_dims",
    "with_depth_of_its_width",
    "with_even_heads",
]
