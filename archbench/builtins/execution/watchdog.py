"""Tells a run that hangs from one that is slow: by the steps that it reports, measured against its own pace."""

from dataclasses import dataclass

SETUP_FACTOR = 10.0
"""A run may take so many times `floor_seconds` until its first report: imports, data, compilation, first evaluation."""

SLOW_FACTOR = 10.0
"""A pause so many times as long as the longest one before is a hang, if it is longer than `floor_seconds` as well."""

_MOST_AT_ONCE = 2.0
"""Seconds counted between two looks at most: while the driver itself stood still, nothing is known of its runs."""


@dataclass(slots=True)
class Watchdog:
    """Watches one run."""

    floor_seconds: float
    step: int | None = None
    """The last one reported; None before the first report."""
    silent_seconds: float = 0.0
    """Time since then, as far as anybody looked."""
    longest_seconds: float = 0.0
    """Of the pauses so far that were none of setting up."""

    @property
    def limit_seconds(self) -> float:
        """How long the run may be silent now."""
        if self.step is None:
            return SETUP_FACTOR * self.floor_seconds
        return max(self.floor_seconds, SLOW_FACTOR * self.longest_seconds)

    @property
    def hangs(self) -> bool:
        """Whether it has been silent for longer."""
        return self.silent_seconds > self.limit_seconds

    @property
    def finding(self) -> str:
        """What is wrong with a run that hangs, behind "it"."""
        where = "before its first step" if self.step is None else f"after step {self.step}"
        return f"hung {where}: no step for {self.silent_seconds:.0f} s"

    def heard(self, step: int, evaluation_seconds: float) -> None:
        """The run has reported `step`; `evaluation_seconds`: what an evaluation takes, in which nothing is reported."""
        pause = 0.0 if self.step is None else self.silent_seconds
        self.longest_seconds = max(self.longest_seconds, pause, evaluation_seconds)
        self.step = step
        self.silent_seconds = 0.0

    def passed(self, seconds: float) -> None:
        """So much time has passed without a word."""
        self.silent_seconds += min(seconds, _MOST_AT_ONCE)
