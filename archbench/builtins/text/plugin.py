"""The datasets and tokenizers that come with archbench."""

from collections.abc import Sequence

from archbench.api import DatasetConfig, TokenizerConfig, hookimpl
from archbench.builtins.text.bytes_tokenizer import BytesTokenizerConfig
from archbench.builtins.text.hf_tokenizers import BpeTokenizerConfig, PretrainedTokenizerConfig
from archbench.builtins.text.hub_datasets import (
    CodeParrotConfig,
    FinewebConfig,
    OpenWebTextConfig,
    WikipediaConfig,
    WikitextConfig,
)
from archbench.builtins.text.huggingface import HuggingFaceConfig
from archbench.builtins.text.installed import InstalledCodeConfig, InstalledDocsConfig
from archbench.builtins.text.mixture import MixtureConfig
from archbench.builtins.text.standard.config import StandardTextConfig
from archbench.builtins.text.text_files import TextFilesConfig


@hookimpl
def register_datasets() -> Sequence[type[DatasetConfig]]:
    """The standard text, text of the installed packages, of the user's files, and of the Hugging Face hub."""
    return [
        StandardTextConfig,
        InstalledDocsConfig,
        InstalledCodeConfig,
        TextFilesConfig,
        MixtureConfig,
        HuggingFaceConfig,
        FinewebConfig,
        WikipediaConfig,
        WikitextConfig,
        OpenWebTextConfig,
        CodeParrotConfig,
    ]


@hookimpl
def register_tokenizers() -> Sequence[type[TokenizerConfig]]:
    """Bytes, trained BPE, and tokenizers that exist already."""
    return [BytesTokenizerConfig, BpeTokenizerConfig, PretrainedTokenizerConfig]
