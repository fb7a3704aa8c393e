"""Tells a run that hangs from one that is slow: by the steps that it reports, measured against its own pace."""

from dataclasses import dataclass

SETUP_FACTOR = 10.0
"""A run may be silent so many times `floor_seconds` until its first step: imports, data, compilation."""

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
    announced_seconds: float = 0.0
    """What the run has said that it will be silent for now."""

    @property
    def limit_seconds(self) -> float:
        """How long the run may be silent now."""
        if self.step is None:
            return max(SETUP_FACTOR * self.floor_seconds, self.announced_seconds)
        return max(self.floor_seconds, SLOW_FACTOR * self.longest_seconds, self.announced_seconds)

    @property
    def hangs(self) -> bool:
        """Whether it has been silent for longer."""
        return self.silent_seconds > self.limit_seconds

    @property
    def finding(self) -> str:
        """What is wrong with a run that hangs, behind "it"."""
        where = "before its first step" if self.step is None else f"after step {self.step}"
        return f"hung {where}: no step for {self.silent_seconds:.0f} s"

    def heard(self, step: int, pace_seconds: float) -> None:
        """The run has reported `step`; `pace_seconds`: what its steps or an evaluation took without a report."""
        self.alive()
        self.longest_seconds = max(self.longest_seconds, pace_seconds)
        self.step = step

    def alive(self, announced_seconds: float = 0.0) -> None:
        """The run goes on with something that is no step: an evaluation, or a checkpoint, of up to so many seconds."""
        if self.step is not None:
            self.longest_seconds = max(self.longest_seconds, self.silent_seconds)
        self.silent_seconds, self.announced_seconds = 0.0, announced_seconds

    def passed(self, seconds: float) -> None:
        """So much time has passed without a word."""
        self.silent_seconds += min(seconds, _MOST_AT_ONCE)
