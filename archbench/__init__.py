"""Compares Transformer architectures by their scaling laws.

For notebooks: `fit`, `compare`, `forecast` and `load`, which take and give pandas frames (docs/notebook.md). Nothing is
imported before one of them is asked for. What plug-ins import is in `archbench.api`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archbench.notebook.comparison import compare as compare
    from archbench.notebook.forecast import forecast as forecast
    from archbench.notebook.laws import fit as fit
    from archbench.notebook.runs import load as load

__all__ = ["compare", "fit", "forecast", "load"]

_HOMES = {"compare": "comparison", "fit": "laws", "forecast": "forecast", "load": "runs"}
"""Name -> module of `archbench.notebook` that it is in."""


if not TYPE_CHECKING:  # a checker knows the four names, and no others

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'archbench' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"archbench.notebook.{_HOMES[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
