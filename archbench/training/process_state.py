"""What runs of one process share, and a plug-in has no business to change: found out by looking before and after."""

import math
import os
import random
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from archbench.process_settings import process_settings, same_setting

_WATCHED = (torch, torch.Tensor, torch.nn, torch.nn.functional, np, np.random, random, math, os, time)
"""Whose functions a plug-in might replace, beside those of archbench and the layers of torch."""


def process_state() -> dict[str, object]:
    """Settings of this process, by name. What every run sets for itself (threads, seeds) is none of them."""
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's matmul precision": torch.get_float32_matmul_precision(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's treatment of tiny numbers": float(torch.tensor(1e-40) * 1.0) > 0.0,
        "the working directory": _folder(),
        "the environment": tuple(sorted(os.environ.items())),
        **process_settings(),
    }


def global_functions() -> dict[str, object]:
    """Functions and classes that everybody calls, by name, and the threads that are at work."""
    places: dict[str, object] = {getattr(place, "__name__", ""): place for place in _WATCHED}
    places |= {
        f"torch.nn.{name}": layer
        for name, layer in vars(nn).items()
        if isinstance(layer, type) and issubclass(layer, nn.Module)
    }
    places |= {name: module for name, module in sys.modules.items() if name.startswith("archbench.")}
    found: dict[str, object] = {
        f"{where}.{name}": value
        for where, place in places.items()
        for name, value in list(vars(place).items())
        if callable(value) and name != "Storage"  # torch's, which follows the default dtype
    }
    found["a thread that goes on"] = sorted(thread.name for thread in threading.enumerate())
    return found


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Names of what is no longer as it was; what is new changes nobody's runs."""
    return [name for name, value in before.items() if name in after and not _same(value, after[name])]


def _same(one: object, other: object) -> bool:
    return one is other if callable(one) else same_setting(one, other)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "removed"
