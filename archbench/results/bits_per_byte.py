"""One factor from nats per token to bits per byte, where runs have one."""

from collections.abc import Sequence

from archbench.results.runs import RunRecord


def bits_per_byte_factor(records: Sequence[RunRecord]) -> float | None:
    """Bits per byte for one nat per token on this evaluation set; None where it is not defined or not one factor."""
    usable = [record for record in records if record.usable]
    ends = [(record.final_bits_per_byte, record.final_loss_nats) for record in usable]
    factors = [bits / loss for bits, loss in ends if bits is not None and loss]
    if not factors or len(factors) < len(usable) or max(factors) > min(factors) * 1.001:
        return None
    return sum(factors) / len(factors)
