"""A folder in which transformers saved a model: what its config says, and which weights it holds. No torch."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from archbench.data.corpus import Corpus, file_sha256
from archbench.errors import SpecError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer.json"
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder of `save_pretrained`: config.json and safetensors, in one file or several."""

    path: Path
    config: Mapping[str, Any]
    weight_files: tuple[Path, ...]
    weights_sha256: str
    """Of the weights and of the config, in hex."""


def read_model_folder(path: Path) -> ModelFolder:
    """The model in `path`, its weights hashed. Raises SpecError, in one line, where it is none or only pickled."""
    return _read(path.resolve())


@lru_cache(maxsize=64)
def _read(path: Path) -> ModelFolder:
    if not path.is_dir():
        raise SpecError(f"{path}: no such folder; give one that `save_pretrained` of transformers wrote")
    config = _json(path / CONFIG)
    files = _weight_files(path)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for file in files:
        digest.update(bytes.fromhex(file_sha256(file)))
    return ModelFolder(path, config, files, digest.hexdigest())


def require_same_vocabulary(folder: ModelFolder, corpus: Corpus) -> None:
    """Raises SpecError where the model was trained with another tokenizer than that of `corpus`.

    Without a tokenizer.json in the folder only the number of ids can be compared, which is the caller's part.
    """
    path = folder.path / TOKENIZER
    if not path.is_file():
        return
    own = corpus.tokenizer_file
    if own is None or _pieces(_json(path)) != _pieces(_json(own)):
        kind = corpus.tokenizer["kind"]
        raise SpecError(
            f"{folder.path}: its tokenizer.json is not the tokenizer of the text, which is {kind!r} of "
            f"{corpus.text_vocab_size} ids; write data.tokenizer: {{kind: pretrained, path: {folder.path}}}"
        )


def _pieces(tokenizer: Mapping[str, Any]) -> list[Any]:
    """What decides the ids of a text, in a tokenizer.json."""
    model = tokenizer.get("model") or {}
    merges = [merge.split(" ") if isinstance(merge, str) else list(merge) for merge in model.get("merges") or []]
    added = [[token.get("id"), token.get("content")] for token in tokenizer.get("added_tokens") or []]
    return [model.get("vocab"), merges, added, tokenizer.get("normalizer"), tokenizer.get("pre_tokenizer")]


def _weight_files(path: Path) -> tuple[Path, ...]:
    if (path / WEIGHTS).is_file():
        return (path / WEIGHTS,)
    if (path / WEIGHTS_INDEX).is_file():
        names = sorted(set((_json(path / WEIGHTS_INDEX).get("weight_map") or {}).values()))
        files = tuple(path / name for name in names)
        for file in files:
            if file.parent != path or not file.is_file():
                raise SpecError(f"{file}: is missing, though {WEIGHTS_INDEX} names it; download the model again")
        if files:
            return files
    if any((path / name).is_file() for name in _PICKLED):
        raise SpecError(
            f"{path}: holds pickled weights only, which can run code when they are read; load the model where you "
            "trust it, and write it by `save_pretrained(..., safe_serialization=True)`"
        )
    raise SpecError(f"{path}: has no {WEIGHTS}; give a folder that `save_pretrained` of transformers wrote")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); give a folder of `save_pretrained`") from error
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: is not JSON ({error}); download the model again") from error
    if not isinstance(content, dict):
        raise SpecError(f"{path}: holds no JSON object; download the model again")
    return content
