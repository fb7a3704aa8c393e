"""Processor time of the output head and its loss, fused in blocks of several sizes, over the plain one.

    OMP_NUM_THREADS=1 python benchmarks/bench_head.py

Forward and backward on one thread, 1,024 positions in fp32; the plain one is torch's cross_entropy of all logits. All
take turns in one run, and the smallest of several times counts: neighbours on the same cores slow a step, and none
makes it faster. Prints a Markdown table of ratios, below 1 where the fused one is faster.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from archbench.nn import loss
from archbench.nn.language_model import Projection

POSITIONS = 1024
WIDTHS, VOCABULARIES = (40, 66, 116), (1024, 4096)
BLOCKS = (64, 128, 256, 512)


def plain(hidden: Tensor, weight: Tensor, targets: Tensor) -> None:
    """The gradients by way of all logits."""
    cross_entropy(linear(hidden, weight), targets, reduction="sum").backward()  # type: ignore[no-untyped-call]


def fused(hidden: Tensor, weight: Tensor, targets: Tensor, *, rows: int) -> None:
    """The gradients by way of `rows` positions at a time."""
    loss.block_rows = lambda vocab_size, device_type: rows
    loss.projected_cross_entropy(hidden, Projection(weight, None), targets, ignored=-100).backward()  # type: ignore[no-untyped-call]


def least_seconds(steps: list[Callable[[], None]], repeats: int) -> list[float]:
    """Processor seconds of each step, the smallest of `repeats` rounds."""
    seconds = [float("inf")] * len(steps)
    for _ in range(repeats):
        for index, step in enumerate(steps):
            begin = time.process_time()
            step()
            seconds[index] = min(seconds[index], time.process_time() - begin)
    return seconds


def main() -> None:
    """Prints a line for each width and vocabulary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="rounds of all sizes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"| width | ids | plain, ms | {' | '.join(f'{rows} rows' for rows in BLOCKS)} |")
    print("| ---: " * (3 + len(BLOCKS)) + "|")
    for vocab_size in VOCABULARIES:
        targets = torch.randint(vocab_size, (POSITIONS,))
        for width in WIDTHS:
            hidden = torch.randn(POSITIONS, width, requires_grad=True)
            weight = (0.1 * torch.randn(vocab_size, width)).requires_grad_()
            steps = [partial(plain, hidden, weight, targets)]
            steps += [partial(fused, hidden, weight, targets, rows=rows) for rows in BLOCKS]
            base, *others = least_seconds(steps, arguments.repeats)
            ratios = " | ".join(f"{seconds / base:.2f}" for seconds in others)
            print(f"| {width} | {vocab_size:,} | {1e3 * base:.1f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
