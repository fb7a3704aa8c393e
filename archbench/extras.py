"""What a plain installation lacks: the libraries that train, which the extra `train` brings."""

import importlib.util

from archbench.errors import PluginError

REMEDY = "pip install 'archbench[train]'"
TRAINING_LIBRARIES = frozenset(
    {
        "copier",
        "datasets",
        "deepspeed",
        "huggingface_hub",
        "psutil",
        "pytest",
        "reformer_pytorch",
        "safetensors",
        "tokenizers",
        "torch",
        "transformers",
        "x_transformers",
        "zstandard",
    }
)
"""Modules of the extra, and of what it brings, that archbench and its plug-ins import by name."""


class MissingLibraryError(PluginError):
    """A library that the command needs is not installed (exit code 3)."""


def require(does: str, *modules: str) -> None:
    """Raises MissingLibraryError unless all `modules` are installed; `does` is what needs them, as a sentence begins.

    None is imported.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        remedy = REMEDY if TRAINING_LIBRARIES.issuperset(missing) else f"pip install {' '.join(missing)}"
        raise MissingLibraryError(f"{does}, and {', '.join(missing)} {verb} not installed: {remedy}")


def require_training(does: str) -> None:
    """As `require`, of what every training needs."""
    require(does, "torch", "deepspeed", "transformers", "safetensors", "psutil")


def missing_training_library(error: BaseException) -> str | None:
    """The library of the extra that `error` says cannot be imported, if it says so."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    # A module inside a library that is there is that library's own trouble.
    return error.name if error.name in TRAINING_LIBRARIES else None
