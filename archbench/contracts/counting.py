"""What torch alone can tell of an architecture: asked of a helper process, and kept by content. Loads no torch.

A question is a function, named as `module:function`, that is called with a config and JSON values and returns JSON
values; it may import torch. Commands that plan and read stay quick: the first answer takes a process with torch and its
libraries, every later one is a small file. Where torch is loaded already, the function is called here.
"""

import atexit
import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from archbench.contracts.config import ComponentConfig
from archbench.durable import write_whole
from archbench.errors import DataError, PluginError, in_one_line
from archbench.extras import require
from archbench.plugin_sources import file_of, import_file, source_sha256
from archbench.user_folders import cache_folder

FORMAT = 1
"""Raised when the same question comes to have another answer: what was kept before is then asked again."""

_HELPER = "archbench.flops.helper"
_PATIENCE_SECONDS = 600.0
"""How long an answer may take: that of a large model takes a minute."""

_answers: dict[str, Any] = {}
"""What this process knows."""


def answer(question: str, config: ComponentConfig, **arguments: Any) -> Any:
    """What the function `question`, a `module:function`, returns for `config` and `arguments`, which are JSON values.

    The same question about the same settings, source and versions of libraries is asked once, on this machine.
    Raises ValueError with the function's own words where it raises that, which is kept too; MissingLibraryError where
    torch is not installed, and PluginError, in one line, where the function fails in another way.
    """
    asked = {"question": question, "config": _described(config), "arguments": arguments}
    key = _key(asked, config)
    if key not in _answers:
        file = _file(key)
        kept = _read(file) or _told(asked, config)
        if file is not None and not file.exists():
            with contextlib.suppress(OSError):  # a cache that takes nothing costs time, and no answer
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, json.dumps(kept).encode())
        _answers[key] = kept
    kept = _answers[key]
    if "refusal" in kept:
        raise ValueError(kept["refusal"])
    return kept["answer"]


def carried_out(asked: Mapping[str, Any], config: ComponentConfig | None = None) -> dict[str, Any]:
    """`asked` answered in this process: `answer`, or `refusal` where the function raises ValueError, in one line.

    Raises whatever else the function raises.
    """
    module, _, function = asked["question"].partition(":")
    subject = _restored(asked["config"]) if config is None else config
    try:
        told = getattr(importlib.import_module(module), function)(subject, **asked["arguments"])
    except ValueError as error:
        return {"refusal": " ".join(str(error).split())}
    return {"answer": told}


def _told(asked: Mapping[str, Any], config: ComponentConfig) -> dict[str, Any]:
    kind = config.kind
    if "torch" in sys.modules:
        try:
            return carried_out(asked, config)
        except (PluginError, DataError):
            raise
        except Exception as error:
            raise PluginError(
                f"architecture {kind!r}: torch cannot tell what it costs: {in_one_line(error)}"
            ) from error
    require(f"architecture {kind!r} is counted by building it", "torch")
    return _Helper.here().told(asked, kind)


def _cannot_tell(kind: str, problem: str) -> str:
    return f"architecture {kind!r}: torch cannot tell what it costs: {problem}"


class _Helper:
    """The process that answers; it ends by itself when nobody asks for a minute, and with this one."""

    _only: ClassVar["_Helper | None"] = None

    def __init__(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process is
        # Counting is done without data: no accelerator, one thread, no network.
        quiet = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", _HELPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **quiet},
            start_new_session=True,
        )

    @classmethod
    def here(cls) -> "_Helper":
        """The one that runs, or a new one."""
        if cls._only is None or cls._only._process.poll() is not None:
            cls.dismiss()
            cls._only = cls()
        return cls._only

    @classmethod
    def dismiss(cls) -> None:
        """Ends it."""
        helper, cls._only = cls._only, None
        if helper is None:
            return
        helper._process.kill()
        helper._process.communicate()
        helper._log.close()

    def told(self, asked: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """Its answer. Raises PluginError where it fails, dies or takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        problem = "its process gives no answer"
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            with selectors.DefaultSelector() as waiting:
                waiting.register(self._process.stdout, selectors.EVENT_READ)
                ready = waiting.select(_PATIENCE_SECONDS)
            if line := self._process.stdout.readline() if ready else b"":
                told: dict[str, Any] = json.loads(line)
                if "failure" not in told:
                    return told
                problem = str(told["failure"])
            else:
                problem = self._last_words() if ready else f"no answer in {_PATIENCE_SECONDS:g} seconds"
                self.dismiss()
        except OSError:
            self.dismiss()
        except KeyboardInterrupt:
            self.dismiss()
            raise
        raise PluginError(_cannot_tell(kind, problem))

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no word")
        return f"its process died: {last[:300]}"


atexit.register(_Helper.dismiss)


def _described(config: ComponentConfig) -> dict[str, Any]:
    """What another process needs to make `config` again."""
    kind = type(config)
    file = file_of(kind.__module__)
    return {
        "module": kind.__module__,
        "file": str(file) if file else None,
        "class": kind.__qualname__,
        "settings": config.model_dump(mode="json"),
    }


@lru_cache(maxsize=64)
def _home(module: str, file: str | None) -> Any:
    return import_file(Path(file)) if file else importlib.import_module(module)


def _restored(described: Mapping[str, Any]) -> ComponentConfig:
    kind = getattr(_home(described["module"], described["file"]), described["class"])
    config: ComponentConfig = kind.model_validate(described["settings"])
    return config


def _key(asked: Mapping[str, Any], config: ComponentConfig) -> str:
    """What an answer hangs on: the question, the source of the architecture, and what it computes with."""
    described = {name: value for name, value in asked["config"].items() if name != "file"}
    libraries = {name: _version(name) for name in ("torch", *config.needed_libraries())}
    source = source_sha256(type(config).__module__)
    content = {**asked, "config": described, "format": FORMAT, "source": source, "libraries": libraries}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=64)
def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _file(key: str) -> Path | None:
    try:
        return cache_folder() / "counts" / key[:2] / f"{key}.json"
    except DataError:  # a user without a home: nothing is kept
        return None


def _read(file: Path | None) -> dict[str, Any] | None:
    """What is kept in `file`; None if nothing is, or it is no answer."""
    if file is None:
        return None
    try:
        kept = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.keys() & {"answer", "refusal"} else None
