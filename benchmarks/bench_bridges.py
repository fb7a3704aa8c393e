"""Processor time of a training step: archbench's own models beside the same models of transformers through the bridge.

    OMP_NUM_THREADS=1 python benchmarks/bench_bridges.py

16 rows of 128 bytes in fp32 on one thread, a forward and a backward pass; milliseconds, the smallest of several, each
pair in turn: neighbours on the same cores slow a step, and none makes it faster.
"""

import time
import warnings
from collections.abc import Callable

import torch

from archbench.api import ArchitectureConfig, Attention, ModelDims
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench_bert.config import BertConfig
from archbench_gated_deltanet.config import GatedDeltaNetConfig
from archbench_gpt2.config import Gpt2Config
from archbench_llama.config import LlamaConfig
from archbench_mamba2.config import Mamba2Config
from archbench_transformers.config import TransformersConfig

ROWS, REPEATS = 16, 9
DIMS = ModelDims(vocab_size=257, seq_len=128, d_model=56, n_layers=3, n_heads=4, d_ff=224)


def pairs() -> list[tuple[str, ArchitectureConfig, ArchitectureConfig, ModelDims]]:
    """Name, own and the library's, at a shape that both have as it stands."""
    widths = GatedDeltaNetConfig().widths(DIMS)
    linear = {
        "layer_types": ["linear_attention"] * DIMS.n_layers, "num_hidden_layers": DIMS.n_layers,
        "linear_num_key_heads": DIMS.n_heads, "linear_num_value_heads": DIMS.n_heads,
        "linear_key_head_dim": widths.key, "linear_value_head_dim": widths.value,
    }  # fmt: skip
    state_space = {"state_size": 16, "chunk_size": 32, "head_dim": 28, "n_groups": 1}
    gated, inner = DIMS.model_copy(update={"d_ff": 150}), DIMS.model_copy(update={"d_ff": 112})
    return [
        ("gpt2", Gpt2Config(), TransformersConfig(model_type="gpt2"), DIMS),
        ("llama", LlamaConfig(), TransformersConfig(model_type="llama"), gated),
        ("bert, causal", BertConfig(), TransformersConfig(model_type="bert"), DIMS),
        (
            "mamba2",
            Mamba2Config(d_state=16, chunk_size=32),
            TransformersConfig(model_type="mamba2", config=state_space, tie_output=True),
            inner,
        ),
        (
            "gated_deltanet",
            GatedDeltaNetConfig(chunk_size=32),
            TransformersConfig(model_type="qwen3_5_text", config=linear),
            gated,
        ),
    ]


def step_of(config: ArchitectureConfig, dims: ModelDims) -> Callable[[], None]:
    """A forward and a backward pass of the objective's loss."""
    torch.manual_seed(0)
    model, objective = config.build(dims, Attention.CAUSAL).train(), CausalLmConfig()
    tokens = torch.randint(dims.vocab_size, (ROWS, dims.seq_len + 1))
    batch = {"tokens": tokens[:, :-1].contiguous(), "targets": tokens[:, 1:].contiguous()}

    def step() -> None:
        torch.autograd.backward(objective.loss(model, None, batch, None).nats)

    return step


def main() -> None:
    """Prints a row for each model."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| model | own (ms) | transformers (ms) | ratio |\n| --- | ---: | ---: | ---: |")
    for name, own, library, dims in pairs():
        steps = [step_of(config, dims) for config in (own, library)]
        seconds: list[list[float]] = [[], []]
        for _ in range(REPEATS):
            for step, kept in zip(steps, seconds, strict=True):
                begin = time.process_time()
                step()
                kept.append(time.process_time() - begin)
        mine, theirs = (1e3 * min(kept) for kept in seconds)
        print(f"| {name} | {mine:.1f} | {theirs:.1f} | {theirs / mine:.2f} |", flush=True)


if __name__ == "__main__":
    main()
