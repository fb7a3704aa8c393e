import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.builtins.optimizers.muon import MuonConfig
from archbench.contracts.architecture import Attention, ModelDims
from archbench.contracts.objective import LossParts
from archbench.contracts.optimizer import OptimizerConfig
from archbench.errors import SpecError, StoreError
from archbench.nn.language_model import Encoded, LanguageModel, Projection, State
from archbench.spec.identity import TrainingSettings
from archbench.training.engine import (
    EngineSettings,
    TrainedModule,
    TrainingEngine,
    deepspeed_config,
    engine_settings,
)
from archbench.training.parameters import ModuleParameters, table_names
from archbench_gpt2.config import Gpt2Config
from archbench_reformer.config import ReformerConfig

CPU = torch.device("cpu")
DIMS = ModelDims(vocab_size=264, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64)
PLAIN_ADAM = AdamWConfig(weight_decay=0.0, epsilon=1e-12, max_grad_norm=1e9)
SMOOTH_ADAM = AdamWConfig(weight_decay=0.0, epsilon=1e-3, max_grad_norm=1e9)
"""Without a large epsilon, Adam turns rounding of a gradient that is zero (attention's key bias) into a full update."""


def build(
    rows: int = 4,
    micro: int = 4,
    precision: str = "fp32",
    zero_stage: int = 0,
    optimizer: OptimizerConfig = PLAIN_ADAM,
    max_grad_norm: float = 1e9,
) -> TrainingEngine:
    torch.manual_seed(0)
    module = TrainedModule(Gpt2Config().build(DIMS, Attention.CAUSAL), None, CausalLmConfig())
    settings = EngineSettings(rows, micro, precision, zero_stage, max_grad_norm)
    return TrainingEngine(module, lambda: made(optimizer, module), settings, CPU)


def made(optimizer: OptimizerConfig, module: nn.Module) -> torch.optim.Optimizer:
    def find_tables() -> set[str]:
        assert isinstance(module, TrainedModule)
        return table_names(module, Gpt2Config(), module.objective, DIMS)

    return optimizer.build(ModuleParameters(module, find_tables))


def batch(rows: int = 4, seed: int = 1) -> dict[str, Tensor]:
    tokens = torch.randint(0, 257, (rows, 33), generator=torch.Generator().manual_seed(seed))
    return {"tokens": tokens[:, :-1].contiguous(), "targets": tokens[:, 1:].contiguous()}


def take_step(engine: TrainingEngine, seed: int = 1, rate: float = 1e-3) -> None:
    whole = batch(engine.settings.rows, seed)
    micro = engine.settings.micro_batch_rows
    for start in range(0, engine.settings.rows, micro):
        parts = engine.forward({name: tensor[start : start + micro] for name, tensor in whole.items()}, None)
        engine.backward(parts.nats / whole["targets"].numel())
        engine.step(rate)


def parameters(engine: TrainingEngine) -> dict[str, Tensor]:
    return {name: tensor.detach().float().clone() for name, tensor in engine.module.named_parameters()}


def test_deepspeed_configuration_is_what_it_was() -> None:
    assert deepspeed_config(EngineSettings(32, 8, "fp32", 0, 1.0)) == {
        "train_batch_size": 32,
        "train_micro_batch_size_per_gpu": 8,
        "gradient_accumulation_steps": 4,
        "gradient_clipping": 0.0,
        "bf16": {"enabled": False},
        "zero_optimization": {"stage": 0},
        "wall_clock_breakdown": False,
        "timers": {"throughput": {"enabled": False}},
        "steps_per_print": None,
    }


def test_zero_clips_for_itself() -> None:
    assert deepspeed_config(EngineSettings(8, 8, "fp32", 1, 0.7))["gradient_clipping"] == 0.7
    assert deepspeed_config(EngineSettings(8, 8, "bf16", 0, 0.7))["gradient_clipping"] == 0.7


@pytest.mark.parametrize(("zero_stage", "micro"), [(0, 4), (0, 2), (1, 2)])
def test_gradients_are_clipped_once_a_step(zero_stage: int, micro: int) -> None:
    """Two clipped steps against plain torch; Adam's first step alone would not show the size of a gradient."""
    limit = 0.05
    engine = build(micro=micro, zero_stage=zero_stage, optimizer=SMOOTH_ADAM, max_grad_norm=limit)
    torch.manual_seed(0)
    plain = TrainedModule(Gpt2Config().build(DIMS, Attention.CAUSAL), None, CausalLmConfig())
    optimizer = made(SMOOTH_ADAM, plain)
    for seed in range(2):
        take_step(engine, seed)
        (plain(batch(4, seed), None).nats / (4 * 32)).backward()
        norm = nn.utils.clip_grad_norm_(plain.parameters(), limit)
        assert norm > 2 * limit
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        optimizer.step()
        optimizer.zero_grad()
    mine = parameters(engine)
    for name, expected in plain.named_parameters():
        # Rounding of fp32 sums in another order, through two updates of at most 1e-3.
        torch.testing.assert_close(mine[name], expected.detach(), atol=2e-6, rtol=1e-5)
    engine.close()


@pytest.mark.parametrize(
    ("precision", "zero_stage", "message"),
    [
        ("fp32", 1, "execution.zero_stage: got 1; optimizer 'muon' serves ZeRO stage 0 alone: choose 0, or optimizer"),
        ("bf16", 0, "training.precision: got bf16, which is trained at ZeRO stage 1; optimizer 'muon' serves ZeRO"),
    ],
)
def test_a_stage_that_the_optimizer_cannot_serve_is_refused_in_one_line(
    precision: Literal["fp32", "bf16"], zero_stage: int, message: str
) -> None:
    training = TrainingSettings(batch_tokens=128, total_steps=1, peak_learning_rate=1e-3, precision=precision)
    with pytest.raises(SpecError, match=f"^{message}"):
        engine_settings(training, MuonConfig(), seq_len=32, micro_batch_rows=None, zero_stage=zero_stage)


def test_muon_goes_on_from_a_checkpoint_with_the_same_bits_and_at_its_own_rates() -> None:
    optimizer = MuonConfig(adamw_rate_factor=0.5)
    engine = build(optimizer=optimizer)
    for seed in range(3):
        take_step(engine, seed, rate=1e-2)
    assert {group["lr"] for group in engine._engine.optimizer.param_groups} == {1e-2, 5e-3}
    stored = engine.tensors()
    kept = {name.rpartition(".")[2] for name in stored if name.startswith("optimizer.")}
    assert kept == {"momentum_buffer", "exp_avg", "exp_avg_sq", "step"}
    other = build(optimizer=optimizer)
    other.restore(stored)
    for seed in range(3, 6):
        take_step(engine, seed)
        take_step(other, seed)
    expected, resumed = engine.tensors(), other.tensors()
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    engine.close()
    other.close()


def test_bf16_is_raised_to_zero_stage_1() -> None:
    assert deepspeed_config(EngineSettings(8, 8, "bf16", 0, 1.0))["zero_optimization"] == {"stage": 1}
    assert deepspeed_config(EngineSettings(8, 8, "bf16", 2, 1.0))["zero_optimization"] == {"stage": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_tokens": 100}, "training.batch_tokens: got 100, expected a multiple of the context 32"),
        ({"micro_batch_rows": 3}, "execution.micro_batch_rows: got 3, expected a divisor of the batch's 4 rows"),
        ({"nproc": 3}, "execution.nproc: got 3, expected a divisor of the batch's 4 rows"),
        (
            {"nproc": 2, "micro_batch_rows": 4},
            "execution.micro_batch_rows: got 4, expected a divisor of each of 2 ranks' 2 rows",
        ),
    ],
)
def test_settings_that_cannot_be_carried_out_are_refused(changes: dict[str, int], message: str) -> None:
    training = TrainingSettings(batch_tokens=changes.get("batch_tokens", 128), total_steps=1, peak_learning_rate=1e-3)
    with pytest.raises(SpecError, match=message):
        engine_settings(
            training,
            AdamWConfig(),
            seq_len=32,
            micro_batch_rows=changes.get("micro_batch_rows"),
            zero_stage=0,
            nproc=changes.get("nproc", 1),
        )


def test_weight_decay_spares_vectors() -> None:
    optimizer = made(AdamWConfig(weight_decay=0.3), nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)))
    shapes = {group["weight_decay"]: [tuple(p.shape) for p in group["params"]] for group in optimizer.param_groups}
    assert shapes == {0.3: [(2, 3)], 0.0: [(2,), (2,), (2,)]}


@pytest.mark.parametrize(
    ("precision", "zero_stage"), [("fp32", 0), ("fp32", 1), ("fp32", 3), ("bf16", 0), ("bf16", 2), ("bf16", 3)]
)
def test_first_adam_update_has_the_size_of_the_rate(precision: str, zero_stage: int) -> None:
    """Trap: under bf16 at stage 0, DeepSpeed's first update is 0.735 of the rate."""
    engine = build(precision=precision, zero_stage=zero_stage)
    master_weights = [name for name in engine.tensors() if name.startswith("master.")] or ["parameter.model"]
    before = engine.tensors()
    take_step(engine, rate=1e-3)
    after = engine.tensors()
    chosen = [name for name in before if name.startswith(tuple(master_weights))]
    moved = torch.cat([(after[name].double() - before[name].double()).abs().flatten() for name in chosen])
    # Bias correction makes the first update rate·g/|g|; where g is 0 (unused tokens) nothing moves.
    # fp32 parameters of size 1 resolve 1.2e-7 of an update of 1e-3.
    moved = moved[moved > 1e-5]
    assert len(moved) > 1000
    assert moved.median().item() == pytest.approx(1e-3, rel=1e-3)
    engine.close()


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_engine_equals_plain_torch(zero_stage: int) -> None:
    engine = build(zero_stage=zero_stage, optimizer=SMOOTH_ADAM)
    torch.manual_seed(0)
    model = Gpt2Config().build(DIMS, Attention.CAUSAL)
    plain = TrainedModule(model, None, CausalLmConfig())
    optimizer = made(SMOOTH_ADAM, plain)
    for seed in range(5):
        take_step(engine, seed)
        (plain(batch(4, seed), None).nats / (4 * 32)).backward()
        for group in optimizer.param_groups:
            group["lr"] = 1e-3
        optimizer.step()
        optimizer.zero_grad()
    mine = parameters(engine)
    for name, expected in plain.named_parameters():
        # Five updates of 1e-3 at most, each from gradients in fp32 summed in another order: weights about 1 may fall on
        # the next number of fp32 (1.2e-7).
        assert (mine[name] - expected).abs().max() < 2e-7, name
    engine.close()


@pytest.mark.parametrize("zero_stage", [0, 1, 2, 3])
def test_gradient_accumulation_changes_nothing_but_rounding(zero_stage: int) -> None:
    whole = build(4, 4, zero_stage=zero_stage, optimizer=SMOOTH_ADAM)
    halves = build(4, 2, zero_stage=zero_stage, optimizer=SMOOTH_ADAM)
    for seed in range(3):
        take_step(whole, seed)
        take_step(halves, seed)
    expected = parameters(whole)
    for name, tensor in parameters(halves).items():
        # As above; a wrong weight of the halves would show at about 1e-4.
        assert (tensor - expected[name]).abs().max() < 2e-7, name
    whole.close()
    halves.close()


@pytest.mark.parametrize(
    ("precision", "zero_stage"),
    [("fp32", 0), ("fp32", 1), ("fp32", 2), ("fp32", 3), ("bf16", 1), ("bf16", 2), ("bf16", 3)],
)
def test_restored_engine_goes_on_with_the_same_bits(precision: str, zero_stage: int) -> None:
    engine = build(precision=precision, zero_stage=zero_stage)
    for seed in range(3):
        take_step(engine, seed)
    stored = engine.tensors()
    for seed in range(3, 6):
        take_step(engine, seed)
    other = build(precision=precision, zero_stage=zero_stage)
    other.restore(stored)
    for seed in range(3, 6):
        take_step(other, seed)
    expected = engine.tensors()
    resumed = other.tensors()
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    engine.close()
    other.close()


def test_tensors_of_another_zero_stage_are_refused() -> None:
    engine, other = build(zero_stage=0), build(zero_stage=1)
    with pytest.raises(StoreError, match="zero_stage"):
        other.restore(engine.tensors())
    engine.close()
    other.close()


def test_no_pass_of_a_reversible_model_runs_under_autocast() -> None:
    """Trap: autocast around the forward pass leaves the recomputation in fp32, and gradients are off by percents."""
    torch.manual_seed(0)
    model = ReformerConfig(bucket_size=16, n_hashes=1).build(DIMS, Attention.CAUSAL)
    seen: list[tuple[bool, torch.dtype]] = []
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(
                lambda _module, _inputs, output: seen.append((torch.is_autocast_enabled("cpu"), output.dtype))
            )
    trained = TrainedModule(model, None, CausalLmConfig())
    settings = EngineSettings(4, 4, "bf16", 0, 1e9)
    engine = TrainingEngine(trained, lambda: made(PLAIN_ADAM, trained), settings, CPU)
    parts = engine.forward(batch(), None)
    in_forward = len(seen)
    engine.backward(parts.nats / 128)
    engine.step(1e-3)
    assert len(seen) > in_forward, "the backward pass recomputes nothing: this model does not show the trap"
    assert set(seen) == {(False, torch.bfloat16)}
    engine.close()


def test_engine_starts_without_a_compiler_and_compiles_nothing(tmp_path: Path) -> None:
    """Trap: DeepSpeed on CPU compiles an operator at start, for up to a minute, and fails without a compiler."""
    script = """
import json, sys, time
import torch
from archbench.training.engine import *
from archbench.builtins.objectives.causal_lm import CausalLmConfig
from archbench.contracts.architecture import Attention, ModelDims
from archbench.builtins.optimizers.adamw import AdamWConfig
from archbench.training.parameters import ModuleParameters
from archbench_gpt2.config import Gpt2Config
dims = ModelDims(vocab_size=264, seq_len=32, d_model=16, n_layers=2, n_heads=2, d_ff=64)
module = TrainedModule(Gpt2Config().build(dims, Attention.CAUSAL), None, CausalLmConfig())
make = lambda: AdamWConfig().build(ModuleParameters(module, set))
TrainingEngine(module, make, EngineSettings(4, 4, "fp32", 0, 1.0), torch.device("cpu"))
from deepspeed import comm
print(json.dumps({"operator": repr(comm.comm.cdb.shm_comm_op)}))
"""
    empty = tmp_path / "no_programs"
    empty.mkdir()
    extensions = tmp_path / "extensions"
    environment = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    environment |= {"PATH": str(empty), "TORCH_EXTENSIONS_DIR": str(extensions)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert json.loads(finished.stdout.splitlines()[-1]) == {"operator": "None"}
    assert not extensions.exists()


class Balanced(LanguageModel):
    """A model with an auxiliary loss of its own: the mean square of what its tokens are embedded as."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(48, 8)
        self.output = nn.Linear(8, 48)

    def encode(self, tokens: Tensor, *, token_types: Tensor | None = None, state: State | None = None) -> Encoded:
        hidden = self.tokens(tokens)
        return Encoded(hidden, None, hidden.square().mean() if self.training else None)

    def output_weights(self) -> Projection:
        return Projection(self.output.weight, self.output.bias)


@pytest.mark.parametrize("own", [None, 0.5], ids=["alone", "beside the objective's own"])
def test_an_auxiliary_loss_of_the_model_is_trained_and_stays_out_of_the_nats(own: float | None) -> None:
    class Objective(CausalLmConfig):
        def loss(self, *arguments: Any) -> LossParts:
            return super().loss(*arguments)._replace(auxiliary=None if own is None else torch.tensor(own))

    module = TrainedModule(Balanced(), None, Objective())
    batch = {name: torch.randint(48, (2, 16)) for name in ("tokens", "targets")}
    parts = module(batch, None)
    assert parts.auxiliary is not None
    balance = module.model.encode(batch["tokens"]).auxiliary
    torch.testing.assert_close(parts.auxiliary, balance + (own or 0.0))
    assert module.eval()(batch, None).auxiliary == (None if own is None else torch.tensor(own))
    torch.testing.assert_close(module(batch, None).nats, parts.nats)
    assert vars(module.model).keys().isdisjoint({"encode", "encode_prefixed"})
