"""Processor time of one linear-time mixer, forward and backward: archbench's own beside that of transformers.

    OMP_NUM_THREADS=1 python benchmarks/bench_mixers.py --width 56 --heads 8

16 rows of 128 tokens in fp32 on one thread; milliseconds, the smallest of several: neighbours on the same cores slow a
step, and none makes it faster.
"""

import argparse
import time
from collections.abc import Callable

import torch
from transformers.models.mamba2.configuration_mamba2 import Mamba2Config as LibraryMamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer
from transformers.models.qwen3_next.configuration_qwen3_next import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet

from archbench.api import ModelDims
from archbench_gated_deltanet.config import GatedDeltaNetConfig
from archbench_gated_deltanet.model import DeltaRuleMixer
from archbench_mamba2.model import StateSpaceMixer

ROWS, LENGTH, REPEATS = 16, 128, 7
LIBRARY_DELTA_CHUNK = 64
"""The library's chunks are of this length, whatever its config says."""


def milliseconds(mixer: Callable[[torch.Tensor], torch.Tensor], width: int) -> float:
    """Processor time of a forward and a backward pass."""
    x = torch.randn(ROWS, LENGTH, width, requires_grad=True)
    seconds = []
    for _ in range(REPEATS):
        begin = time.process_time()
        torch.autograd.backward(mixer(x).sum())
        seconds.append(time.process_time() - begin)
    return 1e3 * min(seconds)


def mamba2(width: int, heads: int, chunk_size: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our mixer and the library's, at one shape."""
    dims = ModelDims(vocab_size=8, seq_len=LENGTH, d_model=width, n_layers=2, n_heads=heads, d_ff=2 * width)
    library = LibraryMamba2Config(
        hidden_size=width, num_heads=heads, head_dim=2 * width // heads, state_size=width, n_groups=1,
        chunk_size=chunk_size, num_hidden_layers=2,
    )  # fmt: skip
    return StateSpaceMixer(dims, d_state=width, d_conv=4, chunk_size=chunk_size), Mamba2Mixer(library, layer_idx=0)


def gated_deltanet(width: int, heads: int, chunk_size: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our mixer and the library's, at one shape."""
    dims = ModelDims(vocab_size=8, seq_len=LENGTH, d_model=width, n_layers=2, n_heads=heads, d_ff=2 * width)
    widths = GatedDeltaNetConfig().widths(dims)
    library = Qwen3NextConfig(
        hidden_size=width, linear_num_value_heads=heads, linear_num_key_heads=heads, linear_key_head_dim=widths.key,
        linear_value_head_dim=widths.value, num_hidden_layers=2,
    )  # fmt: skip
    ours = DeltaRuleMixer(dims, widths, conv_size=4, chunk_size=chunk_size)
    return ours, Qwen3NextGatedDeltaNet(library, layer_idx=0)


def main() -> None:
    """Prints a line for each mixer and length of a chunk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=56, help="of the model")
    parser.add_argument("--heads", type=int, default=8, help="of Mamba-2; the delta rule has half as many")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    width, heads = arguments.width, arguments.heads
    for chunk_size in (32, 64):
        for make, count in ((mamba2, heads), (gated_deltanet, max(1, heads // 2))):
            ours, library = (milliseconds(mixer, width) for mixer in make(width, count, chunk_size))
            told = LIBRARY_DELTA_CHUNK if make is gated_deltanet else chunk_size
            print(f"{make.__name__}, width {width}: here {ours:.1f} ms in chunks of {chunk_size},", end=" ")
            print(f"transformers {library:.1f} ms in chunks of {told}", flush=True)


if __name__ == "__main__":
    main()
