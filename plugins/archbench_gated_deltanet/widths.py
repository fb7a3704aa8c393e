"""How wide the heads of Gated DeltaNet are. Importing this loads no torch."""

from typing import NamedTuple


class Widths(NamedTuple):
    """Features of one head, and of all heads together."""

    key: int
    """Of a query and of a key."""
    value: int
    """Of a value and of its gate."""
    keys: int
    values: int
