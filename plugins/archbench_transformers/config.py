"""Any causal or masked model of transformers, by its `model_type`. Importing this loads no torch."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, field_validator

from archbench.api import (
    Attention,
    CommonSettings,
    LadderConfig,
    LibraryShape,
    ModelDims,
    ParamCount,
    SavedModel,
    Source,
    answer,
)

if TYPE_CHECKING:
    from archbench_transformers.families import Family
    from archbench_transformers.model import TransformersModel

_QUICKER_HERE = frozenset({"mamba2"})
"""Families that archbench's own implementation of that name trains in clearly less time on a CPU, as
`benchmarks/bench_bridges.py` tells."""
_COMMON = tuple(CommonSettings.model_fields)


class TransformersConfig(LadderConfig):
    """A model of transformers with random weights: its default settings, scaled to a size, and what `config` changes.

    Parameters and FLOPs are counted. The library's own forward computes everything; its caches are off, its dropout is
    off unless `config` sets it, and no id of the tokenizer means anything special to it.
    """

    kind: Literal["transformers"] = "transformers"
    added_later = frozenset({"package", "sized_by", *_COMMON})

    model_type: Annotated[str, Field(min_length=1, max_length=100)]
    """The library's name for the family, such as `qwen3`: what a config.json says under this key."""
    config: dict[str, JsonValue] = Field(default={})
    """Settings by the library's names, in place of its defaults; those that give a model its shape then stay as they
    are at every size."""
    package: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$", max_length=100)] | None = None
    """A package that registers models of its own with the library when it is imported."""
    sized_by: Literal["total", "active"] = "total"
    """What a scan's sizes count in a mixture of experts: all parameters without embeddings, or those that a token
    uses."""
    tie_output: bool | None = None
    """Whether the output matrix is that of the token embeddings; None: as the library has it."""
    output_bias: bool | None = None
    """Whether logits have a bias; None: as the library has it."""
    initialisation: Literal["by_width"] | None = None
    """`by_width`: the library's `initializer_range` times sqrt(768/d_model); None: as the library has it."""

    libraries: ClassVar[tuple[str, ...]] = ("transformers",)
    summary: ClassVar[str] = "any causal or masked model of transformers, by its model_type"
    attention_modes: ClassVar[frozenset[Attention]] = frozenset({Attention.CAUSAL, Attention.BIDIRECTIONAL})
    source: ClassVar[Source] = Source(
        paper="as transformers states under the model_type",
        implementation="transformers, AutoModelForCausalLM or AutoModelForMaskedLM, random weights",
        faithful="the library's network and initialisation, in the proportions of its default config",
        differs="sizes come from archbench's ladder; no dropout unless set, no special ids, no cache",
    )

    @field_validator("model_type")
    @classmethod
    def _one_word(cls, name: str) -> str:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError("expected the library's name of a family, such as qwen3; nothing is loaded from the hub")
        return name

    def needed_libraries(self) -> tuple[str, ...]:
        """See `ComponentConfig.needed_libraries`: with the distributions of `package`."""
        return (*self.libraries, *(_distributions(self.package) if self.package else ()))

    def unsupported(self, attention: Attention) -> str | None:
        """See `ArchitectureConfig.unsupported`: what the library says of the settings, and a small model of its own."""
        if problem := super().unsupported(attention):
            return problem
        try:
            answer("archbench_transformers.trial:trial", self, attention=attention.value)
        except ValueError as error:
            return str(error)
        return None

    def planning_remark(self) -> str | None:
        """See `ArchitectureConfig.planning_remark`: of families that there is a quicker implementation of here."""
        if self.model_type not in _QUICKER_HERE:
            return None
        return f"{{kind: {self.model_type}}} is archbench's own, and takes two thirds of the time of a step on a CPU"

    def build(self, dims: ModelDims, attention: Attention) -> "TransformersModel":
        """See `ArchitectureConfig.build`."""
        from archbench_transformers.model import TransformersModel

        if attention not in self.attention_modes:
            raise ValueError(str(super().unsupported(attention)))
        if problems := self.problems(dims):
            raise ValueError("; ".join(problems))
        return TransformersModel(self.named_family(), dims, attention)

    def named_family(self) -> "Family":
        """The library's classes and defaults. Loads torch; raises ValueError where it has none such."""
        from archbench_transformers.families import Asked, Family

        return Family.of(
            Asked(
                model_type=self.model_type,
                settings=self.config,
                package=self.package,
                tie_output=self.tie_output,
                output_bias=self.output_bias,
                by_width=self.initialisation == "by_width",
            )
        )

    def adapted(self, dims: ModelDims) -> ModelDims:
        """See `LadderConfig.adapted`: in the proportions of the library's default config."""
        return self.shape.adapted(dims)

    def sized_for(self, target_params: float, *, vocab_size: int, seq_len: int) -> ModelDims:
        """See `ArchitectureConfig.sized_for`; of a mixture that is too large it is said what makes it so."""
        try:
            return super().sized_for(target_params, vocab_size=vocab_size, seq_len=seq_len)
        except ValueError as error:
            name = self.shape.experts_name
            if name is None or name in self.shape.pinned:
                raise
            count = self.shape.num_experts
            raise ValueError(f"{error}; it has {count} experts a layer: config: {{{name}: 8}} has fewer") from error

    def problems(self, dims: ModelDims) -> list[str]:
        """See `ArchitectureConfig.problems`."""
        return self.shape.problems(dims)

    def size_of(self, dims: ModelDims) -> int:
        """See `LadderConfig.size_of`."""
        params: ParamCount = self.num_params(dims)
        return params.active if self.sized_by == "active" else params.non_embedding

    def with_common(self, common: CommonSettings) -> tuple["TransformersConfig", tuple[str, ...]]:
        """See `ArchitectureConfig.with_common`: what this family has no setting for is named."""
        wanted = common.model_dump(exclude_none=True)
        if not wanted:
            return self, ()
        kept, missing = self, []
        for name, value in wanted.items():
            said = getattr(self, name)
            if said == value or (said is None and value in self._offers(name)):
                kept = kept.model_copy(update={name: value})
            else:
                missing.append(name)
        return kept, tuple(missing)

    def saved_model(self, config: Mapping[str, Any]) -> SavedModel:
        """See `ArchitectureConfig.saved_model`; a model of this family in the ladder's proportions, without padding."""
        if config.get("model_type") != self.model_type:
            raise ValueError(f"its config says model_type {config.get('model_type')!r}, expected {self.model_type!r}")
        if config.get("pad_token_id") is not None:
            raise ValueError("its config has a padding token, which this architecture has not")
        dims = self.shape.dims_of(config)
        tables = answer("archbench_transformers.trial:tables", self, dims=dims.model_dump())
        return SavedModel(
            dims=dims,
            module_prefix="inner.",
            base_prefix=tables["base_prefix"],
            vocabulary_tables=frozenset(tables["vocabulary"]),
            position_tables=tables["positions"],
        )

    @cached_property
    def shape(self) -> LibraryShape:
        """The library's proportions. Raises ValueError where the settings are none of this family."""
        return LibraryShape(self._facts["settings"], frozenset(self._facts["pinned"]))

    def _offers(self, name: str) -> tuple[object, ...]:
        offered: tuple[object, ...] = tuple(self._facts["common"][name])
        return offered

    @cached_property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = answer("archbench_transformers.trial:facts", self)
        return facts


def _distributions(package: str) -> tuple[str, ...]:
    """The distributions that share the import name of `package`; the name itself where none is installed."""
    from importlib.metadata import packages_distributions

    name = package.partition(".")[0]
    return tuple(sorted(set(packages_distributions().get(name, (name,)))))
