"""The README as package indexes show it, where relative links lead nowhere."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?!https?://|mailto:|#)([^()\s]+)\)")
"""A picture or a link, whose text may hold brackets, to a file of the repository."""


class ReadmeHook(MetadataHookInterface):
    """Gives the project its readme."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Reads README.md; links lead to the project's `Source`, where it has one."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_index(text, source)}


def for_index(text: str, source: str | None) -> str:
    """`text` with absolute links into the repository at `source`; without one, their words, and where pictures are."""

    def replaced(link: re.Match[str]) -> str:
        picture, words, path = link.groups()
        if source is None:
            return f"*{words}* (`{path}` in the repository)" if picture else words
        place = "raw" if picture else "blob"
        return f"{picture}[{words}]({source.rstrip('/')}/{place}/HEAD/{path})"

    return _RELATIVE.sub(replaced, text)
