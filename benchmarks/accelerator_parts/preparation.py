"""What goes before the parts: which device it is, what it can do at best, and the text."""

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from accelerator_parts.child import Records, Setting
from accelerator_parts.peaks import datasheet_peak
from accelerator_parts.scale import SCALES, Scale
from accelerator_parts.texts import folder_text, installed_text
from archbench.data.prepare import prepare_corpus
from archbench.flops.peaks import measured_matmul_peak
from archbench.host import default_host
from archbench.training.assembly import choose_device
from archbench.training.measurement import hardware, versions

VALIDATION_FRACTION = 0.05
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def run(setting: Setting, records: Records) -> None:
    """Says `machine` and `text`. Raises ArchbenchError where the device or the text cannot be had."""
    device = choose_device(setting.device)
    scale = SCALES[device.type]
    torch.set_num_threads(1)
    records.say("machine", machine=machine(device, scale), device=device.type)
    folder = Path(setting.folder)
    if setting.text is None:
        text = installed_text(scale.text_bytes)
    else:
        text = folder_text(Path(setting.text), scale.text_bytes, folder / "text.jsonl")
    registry = default_host().registry
    corpus = prepare_corpus(
        registry.datasets[text.dataset["kind"]].config.model_validate(text.dataset),
        registry.tokenizers["bytes"].config.model_validate({"kind": "bytes"}),
        validation_fraction=VALIDATION_FRACTION,
        cache_dir=folder / "cache",
    )
    records.say("text", dataset=text.dataset, source=text.source, corpus=str(corpus.directory))


def machine(device: torch.device, scale: Scale) -> dict[str, Any]:
    """The machine as the results show it. Peaks are those of `scale.precision`, and of one device."""
    measured = measured_matmul_peak(str(device), _DTYPES[scale.precision])
    found: dict[str, Any] = {
        **hardware(device),
        "platform": platform.platform(),
        "load_average": round(os.getloadavg()[0], 1),
        "num_devices": torch.cuda.device_count() if device.type == "cuda" else 1,
        "versions": versions(()),
        "precision": scale.precision,
        "peak_flop_per_s": {"measured": float(f"{measured:.4g}")},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found["versions"] |= {"CUDA": str(torch.version.cuda), "cuDNN": str(cudnn)}
        found |= {
            "driver": _driver_version(),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
        }
        if (datasheet := datasheet_peak(properties.name, scale.precision)) is not None:
            found["peak_flop_per_s"]["datasheet"] = datasheet
    return found


def _driver_version() -> str:
    """By nvidia-smi; torch does not know it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown: no nvidia-smi"
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown: nvidia-smi: {type(error).__name__}"
    return (done.stdout.strip().splitlines() or [f"unknown: nvidia-smi ended with {done.returncode}"])[0]
