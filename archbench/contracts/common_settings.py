"""What a protocol asks of every architecture alike, because it is not under test. Importing this loads no torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class CommonSettings(BaseModel):
    """The same for all contenders of a scan; None leaves a setting to each architecture, as its authors published it.

    In a small model the output matrix is most of the parameters, and the spread of initial weights was chosen for wide
    ones: contenders that differ in these are compared in them, and not in what they are known for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tie_output: bool | None = None
    """Whether the output matrix is that of the token embeddings."""
    output_bias: bool | None = None
    """Whether logits have a bias."""
    initialisation: Literal["by_width"] | None = None
    """`by_width`: normal with standard deviation 0.02·sqrt(768/d_model) wherever GPT-2 has 0.02."""
