"""What the choice of held-out text does to a loss: its standard error, and how contenders stand on each text."""

from dataclasses import dataclass

from archbench.results.fits import HeadlineMultiplier


@dataclass(frozen=True, slots=True)
class TextError:
    """The loss of one contender's largest size on all held-out text, and how far it hangs on which documents these are.

    Runs of several seeds are taken together; errors are standard errors from a bootstrap over groups of whole
    documents. They are of the text alone: noise between runs is not in them.
    """

    contender: str
    size_index: int
    num_documents: int
    num_groups: int
    loss_nats: float
    error_nats: float | None
    """None where there are too few groups to draw from."""
    difference_nats: float | None
    """To the baseline at the same size, on the same groups; None for the baseline and where it has no such run."""
    difference_error_nats: float | None
    """Of the difference: both are drawn together, so that what makes a document hard for both is not in it."""


@dataclass(frozen=True, slots=True)
class TextStanding:
    """How one contender stands on one text."""

    text: str
    """Its name in the spec, or `macro average`: the mean over texts."""
    track: str
    contender: str
    size_index: int
    """The largest size that all contenders of its track have on every text."""
    loss_nats: float
    """Mean over seeds there."""
    rank: int
    """By that loss, 1 for the lowest."""
    multiplier: HeadlineMultiplier | None
    """Over the baseline on this text, over the middle half of the losses that both reach there; None for the baseline
    and without one."""
