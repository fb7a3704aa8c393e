"""Conversions between the units that figures are stored and printed in."""

import math

FLOPS_PER_PF_DAY = 8.64e19
"""FLOPs executed by a machine of 1e15 FLOP/s in one day (Kaplan et al. 2020, section 1.3)."""

NATS_PER_BIT = math.log(2.0)

_SI_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def pf_days(flops: float) -> float:
    """The count `flops` in petaflop/s-days."""
    return flops / FLOPS_PER_PF_DAY


def bits_per_byte(total_nats: float, total_utf8_bytes: int) -> float:
    """Bits per UTF-8 byte of a text whose every token was predicted at a summed loss of `total_nats`.

    Source: Gao et al. 2020 (The Pile), section 3.1. Raises ValueError for a text without bytes.
    """
    if total_utf8_bytes <= 0:
        raise ValueError(f"bits per byte need a text of at least one byte, got {total_utf8_bytes}")
    return total_nats / (math.log(2.0) * total_utf8_bytes)


def kaplan_train_flops(non_embedding_params: int, tokens: int) -> float:
    """C = 6·N·D in FLOPs, with N without embeddings (Kaplan et al. 2020, section 2.1)."""
    return 6.0 * non_embedding_params * tokens


def human_count(value: float) -> str:
    """`value` with three significant digits and an SI prefix: 12_345 becomes `12.3k`."""
    for factor, prefix in _SI_PREFIXES:
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{prefix}"
    return f"{value:.3g}"


def counted(count: int, what: str) -> str:
    """`count` things called `what` in the singular: `1 run`, `2 runs`, `2 amounts of text`."""
    noun, space, rest = what.partition(" of ")
    return f"{count} {noun}{'' if count == 1 else 's'}{space}{rest}"


def human_seconds(seconds: float) -> str:
    """`seconds` as a person says it: `42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def human_bytes(count: float) -> str:
    """`count` bytes with a binary prefix: 1_572_864 becomes `1.5 MiB`."""
    for exponent, prefix in ((4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
        if count >= 1024**exponent:
            return f"{count / 1024**exponent:.1f} {prefix}B"
    return f"{int(count)} B"
