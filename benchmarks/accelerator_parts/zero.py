"""Two ZeRO stages, by `archbench run` with as many ranks as there are devices, four at most."""

import os
import time
from pathlib import Path

from accelerator_parts.child import Records, Setting
from accelerator_parts.ladder import ladder_spec
from accelerator_parts.scans import ENDING_SECONDS, Scan, figures

STAGES = (1, 2)
STEPS = 40
"""Of a run."""
MOST_RANKS = 4
_START_SECONDS = 15.0


def run(setting: Setting, records: Records) -> None:
    """One stage after the other, each in a store of its own: the stage is no part of a run's identity."""
    scale = setting.scale
    ranks = min(MOST_RANKS, setting.num_devices if setting.device == "cuda" else len(os.sched_getaffinity(0)))
    tokens = STEPS * scale.ladder_rows * scale.ladder_seq_len
    records.conditions(
        command=f"archbench run --nproc {ranks}",
        architecture="gpt2",
        parameters=scale.zero_size,
        precision=scale.precision,
        seq_len=scale.ladder_seq_len,
        tokens_per_step=scale.ladder_rows * scale.ladder_seq_len,
        ranks=ranks,
        devices=setting.num_devices,
    )
    records.plan(f"stage {stage}" for stage in STAGES)
    longest = _START_SECONDS
    for stage in STAGES:
        what, row = f"stage {stage}", {"stage": stage}
        if records.seconds_left < longest + ENDING_SECONDS:
            return
        began, name = time.monotonic(), f"accelerator-zero-{stage}"
        spec = ladder_spec(setting, name, (scale.zero_size,), tokens, zero_stage=stage)
        scan = Scan(spec, Path(setting.folder) / name, name, ["--nproc", str(ranks)])
        found = False
        for record in scan.records(time.monotonic() + records.seconds_left - ENDING_SECONDS):
            found = True
            records.row(what, {**row, **figures(record)})
        if not found and scan.problem is not None:
            records.row(what, {**row, "status": f"failed: {scan.problem}"})
        longest = max(longest, time.monotonic() - began)
