"""What a component loads in a process of its own: planning is quick because nothing there imports torch."""

import json
import subprocess
import sys

from archbench.contracts.config import ComponentConfig
from archbench.plugin_sources import file_of

_TORCH_LIBRARIES = ("torch", "transformers", "deepspeed", "x_transformers", "reformer_pytorch")

_PROBE = """
import importlib, json, pathlib, sys
from archbench.plugin_sources import import_file
module, file, name, settings, plugin, libraries = json.loads(sys.argv[1])
home = import_file(pathlib.Path(file)) if file else importlib.import_module(module)
config = getattr(home, name).model_validate(settings)
if plugin:
    importlib.import_module(plugin)
{calls}
print(json.dumps([library for library in libraries if library in sys.modules]))
"""


def torch_libraries_loaded_by(config: ComponentConfig, calls: str, plugin: str | None = None) -> list[str]:
    """Libraries that belong to torch which a new process has loaded after `calls`, lines that use `config`.

    `plugin` is imported too. Raises AssertionError, with what the process wrote, where it fails.
    """
    kind = type(config)
    file = file_of(kind.__module__)
    content = [kind.__module__, str(file) if file else None, kind.__qualname__, config.model_dump(mode="json")]
    command = [sys.executable, "-c", _PROBE.replace("{calls}", calls)]
    done = subprocess.run(
        [*command, json.dumps([*content, plugin, _TORCH_LIBRARIES])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout.splitlines()[-1])
    return loaded
