"""Several small runs at once: what one device does in all, with one process or more."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from pathlib import Path

from accelerator_parts.child import Records, Setting
from accelerator_parts.jobs import Job, dims_of


def run(setting: Setting, records: Records) -> None:
    """Starts as many processes as the most that are measured; those that are not measured wait."""
    scale = setting.scale
    counts = [count for count in scale.processes if setting.device == "cuda" or count <= len(os.sched_getaffinity(0))]
    dims = dims_of("gpt2", scale.shared_size, vocab_size=264, seq_len=scale.shared_seq_len)
    job = Job("gpt2", dims, scale.shared_rows, scale.shared_rows, scale.precision, setting.device)
    records.conditions(
        architecture="gpt2",
        parameters=scale.shared_size,
        precision=scale.precision,
        vocab_size=264,
        seq_len=scale.shared_seq_len,
        tokens_per_step=scale.shared_rows * scale.shared_seq_len,
        threads_per_process=1,
        multi_process_service="CUDA_MPS_PIPE_DIRECTORY" in os.environ if setting.device == "cuda" else None,
    )
    sides = [Side(job, setting.corpus, Path(setting.folder) / f"side-{number}") for number in range(max(counts))]
    records.plan(f"{count} at once" for count in counts)
    for side in sides:
        if not side.is_ready(records.seconds_left):
            return
    seconds = max(1.0, min(4.0, records.seconds_left / (2 * len(counts))))
    alone = None
    for count in counts:
        what, row = f"{count} at once", {"processes": count}
        if what in setting.begun:
            continue
        if records.seconds_left < 1.5 * seconds:
            return
        records.begin(what, row, limit_s=seconds + 30.0)
        for side in sides[:count]:
            side.ask(seconds)
        total = sum(side.tokens_per_s(seconds + 30.0) for side in sides[:count])
        alone = alone or total / count
        measured = {"tokens_per_s": float(f"{total:.4g}"), "times_one": float(f"{total / alone:.3g}")}
        records.row(what, {**row, "status": "measured", **measured, "measured_seconds": round(seconds, 1)})
    for side in sides:
        side.close()


class Side:
    """A process that trains one run, when it is asked to."""

    def __init__(self, job: Job, corpus: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        self._link, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, job, corpus, folder), daemon=True)
        self._process.start()
        other.close()

    def is_ready(self, timeout_s: float) -> bool:
        """Whether it comes up in time. Raises RuntimeError where it dies."""
        return self._answer(timeout_s) is not None

    def ask(self, seconds: float) -> None:
        """Begins to train, for so long."""
        self._link.send(seconds)

    def tokens_per_s(self, timeout_s: float) -> float:
        """What came of it. Raises RuntimeError where nothing did."""
        answer = self._answer(timeout_s)
        if answer is None:
            raise RuntimeError(f"a process that trains did not answer within {timeout_s:.0f} s")
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()

    def _answer(self, timeout_s: float) -> float | None:
        try:
            return float(self._link.recv()) if self._link.poll(max(0.0, timeout_s)) else None
        except EOFError:
            self._process.join(5.0)
            code = self._process.exitcode
            raise RuntimeError(f"a process that trains ended with exit code {code}") from None


def serve(link: Connection, job: Job, corpus: str, folder: Path) -> None:
    """Trains for as many seconds as `link` asks for, and answers tokens per second."""
    # Here alone: who starts these processes waits for them, and needs no torch.
    from accelerator_parts.steps import WARM_UP_STEPS, assembled, synchronise

    with assembled(job, corpus, folder) as (assembly, step):
        for _ in range(WARM_UP_STEPS):
            step()
        synchronise(assembly.device)
        link.send(0.0)
        while True:
            seconds = link.recv()
            began, steps = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                step()
                steps += 1
                if steps % 8 == 0:
                    synchronise(assembly.device)
            synchronise(assembly.device)
            tokens = steps * assembly.plan.identity.training.batch_tokens
            link.send(tokens / (time.perf_counter() - began))
