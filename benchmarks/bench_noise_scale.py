"""What a measurement of the gradient noise scale costs, in training steps of the same run.

    OMP_NUM_THREADS=1 python benchmarks/bench_noise_scale.py     every architecture, two sizes: about two minutes

Training steps and measurements alternate in one process, on the batches of `bench_training.py` (16 rows of 128 bytes,
one thread). `a measurement / a step` is the median over the alternations of the ratio of CPU times; a run that measures
every so many steps spends that share of its training on it.
"""

import argparse
import tempfile
from pathlib import Path

from bench_training import CASES, ROWS, SEQ_LEN, Step, alternate, archbench_step, fresh_module, prepare

from archbench.host import default_host
from archbench.testing.small_runs import small_corpus
from archbench.training.assembly import Assembly
from archbench.training.noise_scale import NoiseMeter, num_parts
from archbench.training.torch_settings import configure_torch

SIZES = (4e4, 1.6e5)
EVERY = 100


def measurement(assembly: Assembly) -> Step:
    """One measurement after another, each on the next batch; Transformer-XL goes without its memory."""
    meter = NoiseMeter(fresh_module(assembly), assembly.settings.rows, assembly.device)
    step = 0

    def measure() -> None:
        nonlocal step
        batch = assembly.batches.batch(step)
        found = meter.measure(assembly.engine.module, batch, None, seed=0, step=step, tokens_per_row=SEQ_LEN)
        assert found is not None, "an untrained model has finite gradients"
        step += 1

    return measure


def main() -> None:
    """Prints one line for each architecture and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each in each alternation")
    arguments = parser.parse_args()
    configure_torch(1)
    registry = default_host().registry
    print(f"{ROWS} rows in {num_parts(ROWS)} parts.\n")
    print(f"| run | N | a step, ms | a measurement, ms | a measurement / a step | share at every {EVERY} steps |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        corpus = small_corpus(Path(folder), registry)
        for name in arguments.cases or CASES:
            for size in arguments.sizes:
                directory, assembly = prepare(Path(folder), corpus, registry, CASES[name], size)
                loops = {"step": archbench_step(directory, assembly), "measurement": measurement(assembly)}
                result = alternate(loops, alternations=arguments.alternations, seconds=arguments.seconds)
                ratio = result.ratio("measurement", "step")
                params = assembly.plan.facts.non_embedding_params
                cells = f"{result.median('step'):.1f} | {result.median('measurement'):.1f} | {ratio:.2f}"
                print(f"| {name} | {params:,} | {cells} | {ratio / EVERY:.2%} |", flush=True)
                assembly.engine.close()


if __name__ == "__main__":
    main()
