"""A family of transformers: its config class, its defaults, its model classes. Imports torch and transformers."""

import dataclasses
import difflib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

from archbench.api import Attention, LibraryShape, ModelDims

AUTO = {Attention.CAUSAL: AutoModelForCausalLM, Attention.BIDIRECTIONAL: AutoModelForMaskedLM}
_MAPPINGS = {
    Attention.CAUSAL: MODEL_FOR_CAUSAL_LM_MAPPING,
    Attention.BIDIRECTIONAL: MODEL_FOR_MASKED_LM_MAPPING,
}
_OWN = {
    "vocab_size": "the tokenizer gives it",
    "use_cache": "a training run has no use for it",
    "tie_word_embeddings": "write tie_output beside model_type",
    "dtype": "write training.precision",
    "torch_dtype": "write training.precision",
    "trust_remote_code": "code of the hub is never run",
    "auto_map": "code of the hub is never run",
    "attn_implementation": "attention runs by torch's own kernels",
    "quantization_config": "models are trained in full precision",
}
"""Settings that are not the user's, and why."""
_SHAPE = {
    "hidden_size": "scan.sizes and the ladder give the width",
    "max_position_embeddings": "training.seq_len gives it",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a user asks of the library."""

    model_type: str
    settings: Mapping[str, Any]
    """By the library's names."""
    package: str | None
    """Imported first."""
    tie_output: bool | None
    output_bias: bool | None
    by_width: bool
    """Whether the initial spread hangs on the width."""


@dataclass(frozen=True)
class Family:
    """A family with the settings that a user gives it."""

    asked: Asked
    config_class: type[PreTrainedConfig]
    overrides: Mapping[str, Any]
    """By the names of the class's own fields."""
    default: PreTrainedConfig
    """The library's config, with `overrides`."""

    @property
    def model_type(self) -> str:
        """The library's name."""
        return self.asked.model_type

    @classmethod
    def of(cls, asked: Asked) -> "Family":
        """Raises ValueError, in one line, where there is no such family, or it has no such settings."""
        _import_package(asked.package)
        config_class = _config_class(asked.model_type, asked.package)
        overrides = {_own_name(config_class, name): value for name, value in asked.settings.items()}
        _check_names(config_class, asked.settings)
        default = _default(config_class, overrides)
        if default.is_encoder_decoder:
            raise ValueError(
                f"model_type {asked.model_type!r} is an encoder with a decoder, which no objective trains;"
                " take a decoder such as 'gpt2', or an encoder such as 'bert'"
            )
        text = _text_config(default)
        if text is not default:
            raise ValueError(
                f"model_type {asked.model_type!r} is a model of more than text; its text alone is {text.model_type!r}"
            )
        return cls(asked, config_class, overrides, default)

    @property
    def shape(self) -> LibraryShape:
        """How it is scaled."""
        content = json.loads(self.default.to_json_string(use_diff=False))
        names = {field.name for field in dataclasses.fields(self.config_class)} | set(self.default.attribute_map)
        settings = {name: value for name, value in content.items() if name in names or name in vars(self.default)}
        return LibraryShape(settings, frozenset(self.overrides))

    def model_class(self, attention: Attention) -> type[PreTrainedModel]:
        """Raises ValueError where the library has none for this attention."""
        mapping = _MAPPINGS[attention]
        if self.config_class not in mapping:
            other = next(one for one in _MAPPINGS if one is not attention)
            offers = f"; it has one for {other.value} attention" if self.config_class in _MAPPINGS[other] else ""
            task = "causal" if attention is Attention.CAUSAL else "masked"
            raise ValueError(
                f"transformers has no {task} language model of model_type {self.model_type!r}{offers}"
                f"{_nearest(self.model_type, _types(attention))}"
            )
        found = mapping[self.config_class]
        chosen: type[PreTrainedModel] = found[0] if isinstance(found, tuple) else found
        return chosen

    def _special_ids(self, vocab_size: int) -> dict[str, int | None]:
        """None where the library has it, else an id that there is: `TransformersModel` makes it an id like others."""
        hints = {field.name: str(field.type) for field in dataclasses.fields(self.config_class)}
        ids = {name: value for name, value in vars(self.default).items() if name.endswith("_token_id")}
        return {
            name: None if "None" in hints.get(name, "None") else min(int(value or 0), vocab_size - 1)
            for name, value in ids.items()
        }

    def at(self, dims: ModelDims, attention: Attention) -> PreTrainedConfig:
        """The library's config of a model of `dims`. Raises ValueError where it accepts none such."""
        content = vars(self.default)
        given: dict[str, Any] = {
            **_without_dropout(content),
            **self._special_ids(dims.vocab_size),
            **self.shape.scaled(dims),
            **self.overrides,
            "vocab_size": dims.vocab_size,
        }
        if "is_decoder" in content:
            given["is_decoder"] = attention is Attention.CAUSAL
        if self.asked.tie_output is not None:
            given["tie_word_embeddings"] = self.asked.tie_output
        if self.asked.by_width:
            given["initializer_range"] = float(self.default.initializer_range) * (768 / dims.d_model) ** 0.5
        made = _made(self.config_class, given)
        for name in ("use_cache", "output_router_logits"):
            if hasattr(made, name):
                setattr(made, name, False)
        return made


def _import_package(package: str | None) -> None:
    if package is None:
        return
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"package: {package!r} cannot be imported: {' '.join(str(error).split())}") from error


def _config_class(model_type: str, package: str | None) -> type[PreTrainedConfig]:
    try:
        found: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    except KeyError:
        meant = _nearest(model_type, {*_types(Attention.CAUSAL), *_types(Attention.BIDIRECTIONAL)})
        after = f", nor has it one since {package!r} was imported" if package else ""
        raise ValueError(f"model_type: transformers has no family {model_type!r}{after}{meant}") from None
    return found


def _text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    try:
        return config.get_text_config()
    except ValueError as error:
        raise ValueError(f"model_type {config.model_type!r} is a model of more than text") from error


def _types(attention: Attention) -> set[str]:
    mapping = _MAPPINGS[attention]
    return {name for name in CONFIG_MAPPING if CONFIG_MAPPING[name] in mapping}


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _own_name(config_class: type[PreTrainedConfig], name: str) -> str:
    """The class's own name for a setting that the library has a common one for."""
    own: str = config_class.attribute_map.get(name, name)
    return own


def _check_names(config_class: type[PreTrainedConfig], given: Mapping[str, Any]) -> None:
    fields = {field.name for field in dataclasses.fields(config_class)} | set(config_class.attribute_map)
    shape = {_own_name(config_class, name): why for name, why in _SHAPE.items()}
    for name in given:
        if why := (_OWN.get(name) or shape.get(_own_name(config_class, name))):
            raise ValueError(f"config.{name}: is not set here: {why}")
        if name not in fields:
            raise ValueError(f"config.{name}: {config_class.__name__} has no such setting{_nearest(name, fields)}")


def _made(config_class: type[PreTrainedConfig], given: Mapping[str, Any]) -> PreTrainedConfig:
    try:
        return config_class(**given)
    except Exception as error:  # the library's checks raise a class of their own for each
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{config_class.__name__} refuses its settings: {words[:300]}") from error


def _default(config_class: type[PreTrainedConfig], overrides: Mapping[str, Any]) -> PreTrainedConfig:
    """The library's config with `overrides`, also where they suit models of other widths than its default's alone."""
    try:
        return _made(config_class, overrides)
    except ValueError:
        default = _made(config_class, {})
        try:
            for name, value in overrides.items():
                setattr(default, name, value)
        except Exception:  # the library's checks of single settings
            default = None
        if default is None:
            raise
        return default


def _without_dropout(content: Mapping[str, Any]) -> dict[str, float]:
    """0 for every rate of dropout that there is."""
    return {
        name: 0.0 for name, value in content.items() if isinstance(value, float) and value > 0.0 and _is_dropout(name)
    }


def _is_dropout(name: str) -> bool:
    """Whether a setting is a rate of dropout."""
    return "dropout" in name or "pdrop" in name or name in ("layerdrop", "decoder_layerdrop")
