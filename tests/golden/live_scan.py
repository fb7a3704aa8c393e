"""A scan in the middle of its work, shown as `archbench run` shows it until it is ended; for captures of terminals."""

import threading
from types import SimpleNamespace
from typing import Any

from archbench.cli.live_watch import make_watcher
from archbench.cli.watch import Pace
from archbench.contracts.executor import Progress
from archbench.results.runs import RunState
from archbench.runs.store import RunStatus

_SIZES = (10_240, 40_960, 163_840, 655_360, 2_621_440, 10_485_760)


class StillPace(Pace):
    """A pace at which time stands still, so that every capture is the same."""

    elapsed = property(lambda _: 754.0)
    share = property(lambda _: 0.37)
    seconds_left = property(lambda _: 1260.0)


def run_of(contender: str, size_index: int) -> Any:
    """What a watcher asks of a planned run."""
    facts = SimpleNamespace(non_embedding_params=_SIZES[size_index])
    return SimpleNamespace(
        contender=contender,
        size_index=size_index,
        seed=0,
        run_id=f"{contender}-{size_index}",
        plan=SimpleNamespace(facts=facts),
        study="scan",
        role="result",
        one_of_budgets=False,
    )


def show() -> None:
    """Shows the scan: two contenders of six sizes, five runs that ended and two at work."""
    ladders = {name: [run_of(name, size) for size in range(len(_SIZES))] for name in ("gpt2", "transformer_xl")}
    runs = [run for ladder in ladders.values() for run in ladder]
    with make_watcher(StillPace({})) as watcher:
        watcher.scheduled(runs, [], 2)
        for run in (*ladders["gpt2"][:3], *ladders["transformer_xl"][:2]):
            watcher.ended(run, RunStatus(RunState.DONE, None, None, 2.1 + 0.3 / (1 + run.size_index)))
        for run in (ladders["gpt2"][3], ladders["transformer_xl"][2]):
            for step in range(50, 12_001, 50):
                watcher.progressed(run, Progress(run.run_id, step, 66_000, 6.0 / step**0.1, 10_234.0))
        threading.Event().wait()


if __name__ == "__main__":
    show()
