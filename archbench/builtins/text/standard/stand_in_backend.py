"""A build backend (PEP 517) that builds nothing: it only tells pip the name and version that an archive states.

pip asks an archive for its metadata before it saves it, by the build backend that the archive names. `download.py`
copies this file to where those names lead, so that no code of the archive is run and nothing needed to build it is
installed. It must run by itself, without archbench.
"""

from collections.abc import Mapping
from email import message_from_bytes
from pathlib import Path
from typing import Any


def get_requires_for_build_wheel(config_settings: Mapping[str, Any] | None = None) -> list[str]:
    """Nothing."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Mapping[str, Any] | None = None) -> str:
    """Writes name and version of the archive in the current folder below `metadata_directory`; the folder's name."""
    stated = message_from_bytes(Path("PKG-INFO").read_bytes())
    name, version = stated["Name"], stated["Version"]
    folder = Path(metadata_directory, f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir()
    content = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(content, encoding="utf-8")
    return folder.name


def build_wheel(
    wheel_directory: str,
    config_settings: Mapping[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Raises NotImplementedError: pip is asked to download, not to build."""
    raise NotImplementedError("this backend builds nothing")


def build_sdist(sdist_directory: str, config_settings: Mapping[str, Any] | None = None) -> str:
    """Raises NotImplementedError."""
    raise NotImplementedError("this backend builds nothing")
