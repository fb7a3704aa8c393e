"""Speed of archbench's training step beside a bare loop of the same model, and beside its library in a plain loop.

    OMP_NUM_THREADS=1 python benchmarks/bench_training.py            every architecture, four sizes: about ten minutes
    OMP_NUM_THREADS=1 python benchmarks/bench_training.py gpt2 --sizes 1e4 --profile 20

All loops of a line run alternately in one process, on the same batches of 16 rows of 128 bytes, on one thread:

* `archbench`: the step of the training loop under the engine, with its bookkeeping: data, seeding, learning rate, loss
  sums, heartbeat.
* `bare`: the same module and loss with torch alone: forward, backward, clipping, fused AdamW. `archbench` over `bare`
  is the cost of the engine and the bookkeeping.
* `library`: the library's own model class of the same shape and its own loss, in the loop of a tutorial: AdamW as torch
  sets it up by default, clipping, and the loss read in each step. For Transformer-XL, which no library has, it is the
  same module with the loss over all positions.

Figures are medians over the alternations, and ratios are medians of the ratios within one alternation. Time is CPU time
of the process, which on one thread is what a quiet machine would show, and which a busy one disturbs least.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.contracts.architecture import Attention, ModelDims
from archbench.contracts.objective import IGNORE_TARGET, model_vocab_size
from archbench.data.corpus import Corpus
from archbench.host import default_host
from archbench.registry import Registry
from archbench.runs import lease as leases
from archbench.runs.directory import RunDirectory
from archbench.spec.identity import TrainingSettings
from archbench.testing.small_runs import plan_small_run, small_corpus
from archbench.training.assembly import Assembly, assemble
from archbench.training.engine import TrainedModule
from archbench.training.loop import Upkeep, train_step
from archbench.training.measurement import Stopwatch
from archbench.training.parameters import ModuleParameters
from archbench.training.progress import resume
from archbench.training.randomness import Purpose, seed_generators
from archbench.training.schedule import learning_rate
from archbench.training.torch_settings import configure_torch

SEQ_LEN, ROWS = 128, 16
SIZES = (2e4, 8e4, 1.6e5, 2e6)

Component = Mapping[str, Any]
Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """An architecture under an objective."""

    architecture: Component
    objective: Component


CASES = {
    "gpt2": Case({"kind": "gpt2"}, {"kind": "causal_lm"}),
    "bert_causal": Case({"kind": "bert"}, {"kind": "causal_lm"}),
    "bert_masked": Case({"kind": "bert"}, {"kind": "masked_lm"}),
    "roberta": Case({"kind": "roberta"}, {"kind": "masked_lm"}),
    "transformer_xl": Case({"kind": "transformer_xl"}, {"kind": "causal_lm"}),
    "reformer": Case({"kind": "reformer", "bucket_size": 16, "n_hashes": 4}, {"kind": "causal_lm"}),
}


# The three loops


def archbench_step(directory: RunDirectory, assembly: Assembly) -> Step:
    """One step as `archbench.training.loop.train` takes it."""
    progress = resume(directory, assembly)
    clock = Stopwatch(assembly.device)
    upkeep = Upkeep(directory, leases.acquire(directory, wait_seconds=1.0), lambda report: None, Event())
    assembly.engine.train_mode()
    clock.start()

    def step() -> None:
        train_step(assembly, progress)
        upkeep.after_step(assembly, progress, clock)

    return step


def bare_step(assembly: Assembly) -> Step:
    """The same module and loss without an engine, without bookkeeping."""
    training = assembly.plan.identity.training
    module = fresh_module(assembly)
    settings = AdamWConfig.model_validate(dict(training.optimizer))
    optimizer = settings.build(ModuleParameters(module, set))
    parameters = list(module.parameters())
    place = _Place()

    def step() -> None:
        arrays = assembly.batches.batch(place.step)
        num_predictions = int((arrays["targets"] != IGNORE_TARGET).sum())
        batch = {name: torch.from_numpy(array) for name, array in arrays.items()}
        parts = module(batch, place.state)
        loss = parts.nats / num_predictions
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        _set_rate(optimizer, training, place.step)
        optimizer.step()
        optimizer.zero_grad()
        place.step, place.state = place.step + 1, parts.state

    return step


def library_step(assembly: Assembly) -> Step:
    """The library's model and loss in the loop of a tutorial."""
    training = assembly.plan.identity.training
    settings = AdamWConfig.model_validate(dict(training.optimizer))
    module, loss_of = library_model(assembly)
    module.train()
    optimizer = torch.optim.AdamW(
        module.parameters(),
        lr=training.peak_learning_rate,
        betas=(settings.beta1, settings.beta2),
        weight_decay=settings.weight_decay,
    )
    place = _Place()

    def step() -> None:
        batch = {name: torch.from_numpy(array) for name, array in assembly.batches.batch(place.step).items()}
        loss, state = loss_of(batch, place.state)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), settings.max_grad_norm)
        _set_rate(optimizer, training, place.step)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        place.step, place.state = place.step + 1, state

    return step


@dataclass
class _Place:
    step: int = 0
    state: Any = None


def _set_rate(optimizer: torch.optim.Optimizer, training: TrainingSettings, step: int) -> None:
    rate = learning_rate(training, step + 1)
    for group in optimizer.param_groups:
        group["lr"] = rate


def fresh_module(assembly: Assembly) -> TrainedModule:
    """The run's module with its initial weights."""
    identity, objective = assembly.plan.identity, assembly.objective
    seed_generators(identity.seed, Purpose.INITIALISATION)
    model = assembly.architecture.build(identity.dims, objective.attention)
    return TrainedModule(model, objective.build_head(identity.dims), objective).train()


def library_model(assembly: Assembly) -> tuple[nn.Module, Callable[[Mapping[str, Tensor], Any], tuple[Tensor, Any]]]:
    """The library's model of the same shape, and its loss of a batch with the memory to carry on."""
    kind, dims = assembly.architecture.kind, assembly.plan.identity.dims
    if kind in ("gpt2", "bert", "roberta"):
        ours: Any = fresh_module(assembly).model.model
        module: Any = type(ours)(library_config(ours.config))

        def loss_of(batch: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any]:
            tokens, targets = batch["tokens"], batch["targets"]
            if assembly.objective.attention is Attention.CAUSAL:  # the library shifts the labels itself
                return module(tokens, labels=tokens).loss, None
            return module(tokens, labels=targets).loss, None

        return module, loss_of
    if kind == "reformer":
        reformer = reformer_of_the_library(assembly, dims)
        return reformer, lambda batch, state: (_mean_nats(reformer(batch["tokens"]), batch["targets"]), None)
    model = fresh_module(assembly).model

    def with_memory(batch: Mapping[str, Tensor], state: Any) -> tuple[Tensor, Any]:
        encoded = model.encode(batch["tokens"], state=state)
        return _mean_nats(model.logits(encoded.hidden), batch["targets"]), encoded.state

    return model, with_memory


def library_config(config: Any) -> Any:
    """A copy of a transformers `config` with the activation of the library's default, and RoBERTa's padding token."""
    copy = type(config).from_dict(config.to_dict())
    copy._attn_implementation = "sdpa"
    name = "activation_function" if hasattr(config, "activation_function") else "hidden_act"
    setattr(copy, name, getattr(type(config)(), name))
    if config.model_type == "roberta":  # whose own loop counts positions from the padding token on
        copy.pad_token_id = 1
        copy.max_position_embeddings += 2
    return copy


def reformer_of_the_library(assembly: Assembly, dims: ModelDims) -> nn.Module:
    """reformer-pytorch's own language model; its feed-forward layers are whole multiples of the width."""
    from reformer_pytorch import ReformerLM

    config: Any = assembly.architecture
    model: nn.Module = ReformerLM(
        num_tokens=dims.vocab_size,
        dim=dims.d_model,
        depth=dims.n_layers,
        max_seq_len=dims.seq_len,
        heads=dims.n_heads,
        bucket_size=config.bucket_size,
        n_hashes=config.n_hashes,
        ff_mult=round(dims.d_ff / dims.d_model),
        causal=assembly.objective.attention is Attention.CAUSAL,
        absolute_position_emb=True,
    )
    return model


def _mean_nats(logits: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_TARGET)


# Measuring


@dataclass(frozen=True)
class Result:
    """Milliseconds of CPU time a step, one entry for each alternation."""

    milliseconds: Mapping[str, list[float]]

    def median(self, loop: str) -> float:
        """Median milliseconds of `loop`."""
        return statistics.median(self.milliseconds[loop])

    def ratio(self, loop: str, to: str) -> float:
        """Median over the alternations of the time of `loop` over that of `to`."""
        pairs = zip(self.milliseconds[loop], self.milliseconds[to], strict=True)
        return statistics.median(mine / other for mine, other in pairs)


def alternate(steps: Mapping[str, Step], *, alternations: int, seconds: float) -> Result:
    """Each loop in turn, `alternations` times, for about `seconds` each time; the order turns round every time."""
    counts = {}
    for name, step in steps.items():
        for _ in range(3):
            step()
        began = time.process_time()
        for _ in range(3):
            step()
        counts[name] = max(3, round(seconds / max(1e-4, (time.process_time() - began) / 3)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    names = list(steps)
    for turn in range(alternations):
        for name in names if turn % 2 == 0 else reversed(names):
            began = time.process_time()
            for _ in range(counts[name]):
                steps[name]()
            times[name].append(1e3 * (time.process_time() - began) / counts[name])
    return Result(times)


def prepare(
    folder: Path,
    corpus: Corpus,
    registry: Registry,
    case: Case,
    size: float,
    *,
    rows: int = ROWS,
    vocab_size: int | None = None,
) -> tuple[RunDirectory, Assembly]:
    """A planned run of `case` at about `size` parameters, and all that it trains with.

    A `vocab_size` above the text's own makes logits as large as those of another tokenizer.
    """
    config = registry.architectures[case.architecture["kind"]].config.model_validate(dict(case.architecture))
    goal = registry.objectives[case.objective["kind"]].config.model_validate(dict(case.objective))
    vocab_size = vocab_size or model_vocab_size(corpus.text_vocab_size, goal)
    directory = plan_small_run(
        folder,
        corpus,
        registry,
        architecture=case.architecture,
        objective=case.objective,
        dims=config.sized_for(size, vocab_size=vocab_size, seq_len=SEQ_LEN),
        seq_len=SEQ_LEN,
        rows=rows,
        total_steps=1_000_000,
        execution={"checkpoint_seconds": 1e9},
    )
    return directory, assemble(directory.read_plan(), registry, directory)


def profile(step: Step, times: int) -> None:
    """Prints the operators that take most of a step, and the share of time that no operator takes."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    began = time.process_time()
    for _ in range(times):
        step()
    plain = (time.process_time() - began) / times
    with profiler(activities=[ProfilerActivity.CPU]) as recorded:
        for _ in range(times):
            step()
    rows = recorded.key_averages()
    total_us = sum(row.self_cpu_time_total for row in rows) / times
    calls = sum(row.count for row in rows) / times
    print(f"  a step: {plain * 1e3:.2f} ms, {calls:.0f} operator calls, {total_us / 1e3:.2f} ms in them when profiled")
    for row in sorted(rows, key=lambda row: row.self_cpu_time_total, reverse=True)[:22]:
        share = row.self_cpu_time_total / times / total_us
        print(f"    {share:6.1%} {row.self_cpu_time_total / times:9.0f} us {row.count / times:7.1f} x {row.key}")


def main() -> None:
    """Prints one line for each architecture and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all without any")
    parser.add_argument("--sizes", type=float, nargs="+", default=SIZES)
    parser.add_argument("--alternations", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each loop in each alternation")
    parser.add_argument("--profile", type=int, default=0, metavar="STEPS", help="profile archbench's step instead")
    arguments = parser.parse_args()
    configure_torch(1)
    registry = default_host().registry
    if not arguments.profile:
        print("| run | N | archbench ms | tokens/s | bare ms | library ms | archbench / bare | library / archbench |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        corpus = small_corpus(Path(folder), registry)
        for name in arguments.cases or CASES:
            for size in arguments.sizes:
                directory, assembly = prepare(Path(folder), corpus, registry, CASES[name], size)
                params = assembly.plan.facts.non_embedding_params
                if arguments.profile:
                    print(f"{name}, {params:,} parameters")
                    step = archbench_step(directory, assembly)
                    step()
                    profile(step, arguments.profile)
                    assembly.engine.close()
                    continue
                steps = {
                    "archbench": archbench_step(directory, assembly),
                    "bare": bare_step(assembly),
                    "library": library_step(assembly),
                }
                result = alternate(steps, alternations=arguments.alternations, seconds=arguments.seconds)
                mine = result.median("archbench")
                print(
                    f"| {name} | {params:,} | {mine:.2f} | {SEQ_LEN * ROWS / mine * 1e3:,.0f} |"
                    f" {result.median('bare'):.2f} | {result.median('library'):.2f} |"
                    f" {result.ratio('archbench', 'bare'):.3f} | {result.ratio('library', 'archbench'):.2f} |",
                    flush=True,
                )
                assembly.engine.close()


if __name__ == "__main__":
    main()
