"""Peaks of accelerators by their makers' datasheets."""

DENSE_BF16_FLOP_PER_S = {
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA L40S": 362e12,
    "NVIDIA L4": 121e12,
}
"""Beginning of the name that the driver says -> FLOP/s of its tensor cores in bf16, without sparsity; a longer
beginning goes before a shorter one. (NVIDIA's datasheets of these products; half of what they print where they print
the figure with sparsity.)"""


def datasheet_peak(device_name: str, precision: str) -> float | None:
    """FLOP/s of the device of that name; None where no datasheet of it is known here, or not in `precision`."""
    if precision != "bf16":
        return None
    known = [name for name in DENSE_BF16_FLOP_PER_S if f"{device_name} ".startswith((f"{name} ", f"{name}-"))]
    return DENSE_BF16_FLOP_PER_S[max(known, key=len)] if known else None
