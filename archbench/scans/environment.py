"""What a scan was planned with: versions, the origin of every plug-in in it, and hashes of its text."""

import hashlib
import importlib.metadata
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archbench.data.corpus import Corpus
from archbench.host import Host
from archbench.spec.models import Spec

_DISTRIBUTIONS = ("archbench", "torch", "deepspeed", "transformers", "x-transformers", "reformer-pytorch", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide numbers; those that are missing are left out."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def code_hash(component: type) -> str | None:
    """SHA-256 over the Python files of the package that `component` is defined in, or of its single file.

    A version says what was released, this what ran: the same code has the same hash wherever it is installed. None
    where there is no file.
    """
    source = getattr(sys.modules.get(component.__module__), "__file__", None)
    if source is None:
        return None
    path = Path(source)
    folder = path.parent
    paths = sorted(folder.rglob("*.py")) if (folder / "__init__.py").is_file() else [path]
    digest = hashlib.sha256()
    for one in paths:
        content = one.read_bytes()
        digest.update(f"{one.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def describe_environment(spec: Spec, host: Host, corpora: Mapping[str, Corpus]) -> dict[str, Any]:
    """Versions, plug-in origins by contender, and hashes of the tokenizer and of every text, as JSON data."""
    corpus = corpora[spec.data.name]
    architectures = host.registry.architectures
    origins = {}
    for contender in spec.contenders:
        registered = architectures[contender.architecture.kind]
        source = contender.architecture.source
        origins[contender.name] = {
            "plugin": registered.plugin,
            "distribution": registered.distribution,
            "version": registered.version,
            "code_hash": code_hash(registered.config),
            "paper": source.paper,
            "implementation": source.implementation,
        }
    return {
        "versions": library_versions(),
        "plugins": origins,
        **({"texts": {name: _described(one) for name, one in corpora.items()}} if len(corpora) > 1 else {}),
        "data": {
            "corpus_hash": corpus.corpus_hash,
            "tokenizer_fingerprint": corpus.tokenizer_fingerprint,
            "unique_tokens": corpus.unique_tokens,
            "text_vocab_size": corpus.text_vocab_size,
        },
    }


def _described(corpus: Corpus) -> dict[str, Any]:
    return {
        "corpus_hash": corpus.corpus_hash,
        "unique_tokens": corpus.unique_tokens,
        "bytes_per_token": corpus.bytes_per_token,
    }
