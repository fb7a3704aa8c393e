"""What a scan was planned with: versions, the origin of every plug-in in it, and hashes of its text."""

import importlib.metadata
import platform
from collections.abc import Mapping
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


def describe_environment(spec: Spec, host: Host, corpora: Mapping[str, Corpus]) -> dict[str, Any]:
    """Versions, plug-in origins by contender, and hashes of the tokenizer and of every text, as JSON data."""
    corpus = corpora[spec.data.name]
    architectures = host.registry.architectures
    origins: dict[str, dict[str, Any]] = {}
    for contender in spec.contenders:
        registered = architectures[contender.architecture.kind]
        source, family = contender.architecture.source, contender.architecture.family
        origins[contender.name] = {
            **registered.origin(),
            "paper": source.paper,
            "implementation": source.implementation,
            **({} if family is None else {"family": family}),
            **({"as_published": True} if contender.as_published else {}),
            **({"not_kept": list(contender.not_kept)} if contender.not_kept else {}),
        }
    datasets = {dataset.kind for dataset in spec.data.all_texts.values()}
    text_origins = {
        f"tokenizer {spec.data.tokenizer.kind}": host.registry.tokenizers[spec.data.tokenizer.kind].origin(),
        **{f"dataset {kind}": host.registry.datasets[kind].origin() for kind in datasets},
    }
    return {
        "versions": library_versions(),
        "plugins": origins,
        "text_plugins": text_origins,
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
