"""What torch.compile gains on a step, what it costs to compile, and after how many steps it has paid for itself.

    OMP_NUM_THREADS=1 python benchmarks/bench_compile.py                        every architecture, three sizes
    OMP_NUM_THREADS=1 python benchmarks/bench_compile.py gpt2 --sizes 2e6

Both loops are the `bare` one of `bench_training.py` (module, loss, clipping, fused AdamW), in turn in one process, on
the same batches, on one thread: `eager` as archbench trains, `compiled` under `torch.compile`. Time is processor time,
of child processes too while compiling.
"""

import argparse
import os
import tempfile
from pathlib import Path

import torch
from bench_training import CASES, Step, _set_rate, alternate, bare_step, fresh_module, prepare
from torch import nn

from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.contracts.objective import IGNORE_TARGET
from archbench.data.corpus import Corpus
from archbench.host import default_host
from archbench.registry import Registry
from archbench.testing.small_runs import small_corpus
from archbench.training.assembly import Assembly
from archbench.training.parameters import ModuleParameters
from archbench.training.torch_settings import configure_torch

SIZES = (2e4, 1.6e5, 2e6)


def compiled_step(assembly: Assembly) -> Step:
    """A step of the compiled module."""
    training = assembly.plan.identity.training
    module = fresh_module(assembly)
    settings = AdamWConfig.model_validate(dict(training.optimizer))
    optimizer = settings.build(ModuleParameters(module, set))
    parameters = list(module.parameters())
    module.compile()
    step_number, state = 0, None

    def step() -> None:
        nonlocal step_number, state
        arrays = assembly.batches.batch(step_number)
        num_predictions = int((arrays["targets"] != IGNORE_TARGET).sum())
        parts = module({name: torch.from_numpy(array) for name, array in arrays.items()}, state)
        (parts.nats / num_predictions).backward()
        nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        _set_rate(optimizer, training, step_number)
        optimizer.step()
        optimizer.zero_grad()
        step_number, state = step_number + 1, parts.state

    return step


def processor_seconds() -> float:
    """Of this process and of the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(
    folder: Path, corpus: Corpus, registry: Registry, case: str, size: float, alternations: int, seconds: float
) -> str:
    """One line of the table."""
    torch.compiler.reset()
    _, assembly = prepare(folder, corpus, registry, CASES[case], size)
    eager, compiled = bare_step(assembly), compiled_step(assembly)
    before = processor_seconds()
    for _ in range(3):
        compiled()
    compiling = processor_seconds() - before
    result = alternate({"eager": eager, "compiled": compiled}, alternations=alternations, seconds=seconds)
    compiling -= 3 * result.median("compiled") / 1e3
    saved = (result.median("eager") - result.median("compiled")) / 1e3
    pays = f"{compiling / saved:,.0f}" if saved > 0 else "never"
    assembly.engine.close()
    return (
        f"| {case} | {assembly.plan.facts.non_embedding_params:,} | {result.median('eager'):.2f} |"
        f" {result.median('compiled'):.2f} | {result.ratio('eager', 'compiled'):.2f} | {compiling:.0f} | {pays} |"
    )


def main() -> None:
    """Prints one line for each architecture and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each loop in each alternation")
    arguments = parser.parse_args()
    configure_torch(1)
    registry = default_host().registry
    print("| run | N | eager ms | compiled ms | eager / compiled | compile s | pays after steps |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # in this process and its own children, whose time counts
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / "inductor")
        corpus = small_corpus(Path(folder), registry)
        for case in arguments.cases or CASES:
            for size in arguments.sizes:
                line = measure(Path(folder), corpus, registry, case, size, arguments.alternations, arguments.seconds)
                print(line, flush=True)


if __name__ == "__main__":
    main()
