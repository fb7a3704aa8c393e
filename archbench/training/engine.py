"""The one module that talks to DeepSpeed: starting it, its configuration, and one engine per run.

The rest of archbench sees `TrainingEngine`: forward, backward, step, and the tensors that a checkpoint must hold.
"""

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from archbench.contracts.objective import LossParts, ObjectiveConfig
from archbench.contracts.optimizer import RATE_FACTOR, OptimizerConfig
from archbench.errors import SpecError, StoreError
from archbench.launch_variables import forget_launchers
from archbench.nn.language_model import LanguageModel, State, auxiliary_losses
from archbench.spec.identity import TrainingSettings
from archbench.training.sharded_weights import ShardedWeights, master_weights, update_from_master_weights
from archbench.training.zero_stage import stage_in_use, unserved_stage


class TrainedModule(nn.Module):
    """A model, its objective and the objective's head as the one module that the engine wraps."""

    def __init__(self, model: LanguageModel, head: nn.Module | None, objective: ObjectiveConfig) -> None:
        super().__init__()
        self.model = model
        self.head = head
        self.objective = objective

    def forward(self, batch: Mapping[str, Tensor], state: State | None) -> LossParts:
        """The objective's loss of `batch`, and beside it the auxiliary losses of objective and model."""
        with auxiliary_losses(self.model) as own:
            parts = self.objective.loss(self.model, self.head, batch, state)
        if not own:
            return parts
        given = [] if parts.auxiliary is None else [parts.auxiliary]
        return parts._replace(auxiliary=torch.stack([*given, *own]).sum())


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the DeepSpeed configuration depends on."""

    rows: int
    """Rows of the whole batch."""
    micro_batch_rows: int
    """Rows of one forward pass of one rank."""
    precision: str
    zero_stage: int
    max_grad_norm: float
    nproc: int = 1
    """Ranks that share the batch."""

    @property
    def rank_rows(self) -> int:
        """Rows of the batch that one rank takes."""
        return self.rows // self.nproc

    @property
    def accumulation_steps(self) -> int:
        """Forward passes per optimiser step and rank."""
        return self.rank_rows // self.micro_batch_rows

    def rows_of(self, rank: int) -> slice:
        """The rows of the batch that `rank` takes: neighbours, so that a rank keeps its lanes of the text."""
        return slice(rank * self.rank_rows, (rank + 1) * self.rank_rows)


def engine_settings(
    training: TrainingSettings,
    optimizer: OptimizerConfig,
    *,
    seq_len: int,
    micro_batch_rows: int | None,
    zero_stage: int,
    nproc: int = 1,
) -> EngineSettings:
    """The settings of one rank of `nproc`.

    Raises SpecError where the batch cannot be cut as asked, or the optimizer serves no such stage of ZeRO.
    """
    if (problem := unserved_stage(optimizer, training.precision, zero_stage)) is not None:
        loc, why = problem
        raise SpecError(f"{'.'.join(loc)}: {why}")
    rows, rest = divmod(training.batch_tokens, seq_len)
    if rest:
        raise SpecError(
            f"training.batch_tokens: got {training.batch_tokens}, expected a multiple of the context {seq_len}"
        )
    if rows % nproc:
        raise SpecError(f"execution.nproc: got {nproc}, expected a divisor of the batch's {rows} rows")
    micro = micro_batch_rows or rows // nproc
    if rows // nproc % micro:
        whose = "the batch's" if nproc == 1 else f"each of {nproc} ranks'"
        raise SpecError(f"execution.micro_batch_rows: got {micro}, expected a divisor of {whose} {rows // nproc} rows")
    return EngineSettings(rows, micro, training.precision, zero_stage, optimizer.max_grad_norm, nproc)


def deepspeed_config(settings: EngineSettings) -> dict[str, Any]:
    """The DeepSpeed configuration. The optimiser is handed over as an object, the rate is set before each step.

    bf16 always runs at ZeRO stage 1 or higher: at stage 0 DeepSpeed's first Adam update is 0.735 of the rate. The
    module itself is cast; autocast around the forward pass would corrupt the gradients of reversible layers.
    """
    stage = stage_in_use(settings.precision, settings.zero_stage)
    return {
        "train_batch_size": settings.rows,
        "train_micro_batch_size_per_gpu": settings.micro_batch_rows,
        "gradient_accumulation_steps": settings.accumulation_steps,
        # Without ZeRO `TrainingEngine` clips: DeepSpeed would take the parameters one by one, and send the norm through
        # the process group although there is nobody to share it with. ZeRO clips its own flat gradients.
        "gradient_clipping": settings.max_grad_norm if stage > 0 else 0.0,
        "bf16": {"enabled": settings.precision == "bf16"},
        "zero_optimization": {"stage": stage} | (_SHARDING if stage == 3 else {}),
        # Optimizers say themselves which stages they serve; DeepSpeed knows a few by name.
        **({"zero_allow_untested_optimizer": True} if stage > 0 else {}),
        # Timers synchronise with the device in every step.
        "wall_clock_breakdown": False,
        "timers": {"throughput": {"enabled": False}},
        "steps_per_print": None,
    }


_SHARDING = {
    # Norms and biases stay whole on every rank: fetching one costs a message, and saves next to nothing.
    "stage3_param_persistence_threshold": 4096,
    # In elements. By default DeepSpeed sets two gigabytes aside for gradients on their way.
    "reduce_bucket_size": 25_000_000,
}


_served: set[str] = set()
"""The kind of device that this process serves, once it serves one."""


def start_deepspeed(device: torch.device) -> None:
    """Makes this process ready for engines on `device`; further calls cost nothing.

    Raises SpecError if the process already serves another kind of device.
    """
    kind = device.type
    if _served and kind not in _served:
        raise SpecError(
            f"execution.device: got {kind}, but this process serves {min(_served)}; "
            "use one device for all runs of a scan"
        )
    _served.add(kind)
    if not torch.distributed.is_initialized():
        # Alone, whatever a launcher around this process says; DeepSpeed asks the environment.
        forget_launchers(os.environ)
        os.environ.update({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"})
    os.environ["DS_ACCELERATOR"] = kind
    import deepspeed.ops

    # DeepSpeed would compile an operator for shared memory between ranks: up to a minute, and a failure without a
    # compiler. The name is private (deepspeed is pinned), so it is only set where it is known.
    compatible = getattr(deepspeed.ops, "__compatible_ops__", {})
    if "deepspeed_shm_comm" in compatible:
        compatible["deepspeed_shm_comm"] = False
    if not torch.distributed.is_initialized():
        # A store inside the process needs neither a port nor a network.
        backend = "nccl" if kind == "cuda" else "gloo"
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)


class TrainingEngine:
    """One run's module and optimiser under DeepSpeed. Closing it frees what it holds on the device."""

    def __init__(
        self,
        module: TrainedModule,
        make_optimizer: Callable[[], torch.optim.Optimizer],
        settings: EngineSettings,
        device: torch.device,
    ) -> None:
        """make_optimizer: gives the optimizer of the parameters of `module`, once they are on `device`."""
        start_deepspeed(device)
        import deepspeed

        self.settings = settings
        self.device = device
        self._config = deepspeed_config(settings)
        self._sharded = ShardedWeights(copy.deepcopy(module), device) if self.zero_stage == 3 else None
        if self._sharded is not None:
            for part in module.model.recomputing():
                deepspeed.utils.set_z3_leaf_module(part, True)
        module.to(device)
        self._engine, _, _, _ = deepspeed.initialize(model=module, optimizer=make_optimizer(), config=self._config)
        self._parameters = list(module.parameters())
        if self.zero_stage == 0 and settings.nproc == 1:
            # Nobody to share gradients with: saves copying all of them in every step. ZeRO does its work in there.
            self._engine.enable_backward_allreduce = False

    @property
    def module(self) -> TrainedModule:
        """The module with whole weights, for evaluation; asked for by all ranks at the same point."""
        module: TrainedModule = self._engine.module
        if self._sharded is None:
            return module
        import deepspeed

        whole = self._sharded.whole(module, deepspeed.zero.GatheredParameters)
        assert isinstance(whole, TrainedModule)
        return whole

    @property
    def zero_stage(self) -> int:
        """The stage in use, which bf16 may have raised."""
        stage: int = self._config["zero_optimization"]["stage"]
        return stage

    def train_mode(self) -> None:
        """Turns dropout and its like on."""
        self._engine.train()

    def eval_mode(self) -> None:
        """Turns dropout and its like off."""
        self._engine.eval()

    def forward(self, batch: Mapping[str, Tensor], state: State | None) -> LossParts:
        """The loss of one micro-batch, with gradients."""
        parts: LossParts = self._engine(batch, state)
        return parts

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of `loss`, a micro-batch's share of the whole batch's loss, to those of the step."""
        # DeepSpeed takes the mean over ranks, where the batch's loss is the sum of the shares.
        self._engine.backward(loss if self.settings.nproc == 1 else loss * self.settings.nproc, scale_wrt_gas=False)

    def step(self, learning_rate: float) -> Tensor | float | None:
        """Ends a micro-batch; after the last one of a step clips the gradients and updates the parameters.

        Returns the norm of the step's gradient before it was clipped, on its device; None before the last micro-batch.
        """
        boundary: bool = self._engine.is_gradient_accumulation_boundary()
        norm: Tensor | float | None = None
        if boundary:
            for group in self._engine.optimizer.param_groups:
                group["lr"] = learning_rate * group.get(RATE_FACTOR, 1.0)
            if self.zero_stage == 0:
                norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.max_grad_norm, foreach=True)
        self._engine.step()
        if self._sharded is not None:
            self._sharded.changed()
        if boundary and norm is None:
            # ZeRO's own; infinite where it found one that is not a number and left the step out.
            norm = self._engine.get_global_grad_norm()
        return norm

    def close(self) -> None:
        """Frees the engine; it is of no use afterwards."""
        self._engine.destroy()
        self._engine.optimizer = None
        self._engine = None

    def tensors(self) -> dict[str, Tensor]:
        """Everything that decides how training goes on, by name, as copies in CPU memory."""
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in self._live_tensors()}

    def is_own(self, name: str) -> bool:
        """Whether the tensor of that name is one rank's alone, and not the same on all."""
        return self.settings.nproc > 1 and (
            name.startswith("buffer.") or (self.zero_stage > 0 and not name.startswith("parameter."))
        )

    def weights(self) -> dict[str, Tensor]:
        """The module's parameters and persistent buffers, as copies in CPU memory."""
        return {name: tensor.to("cpu", copy=True) for name, tensor in self.module.state_dict().items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continues from `tensors`, which `tensors()` of an engine with the same settings returned.

        Raises StoreError, before anything is changed, if names or shapes are not this engine's.
        """
        live = dict(self._live_tensors())
        stored_optimizer = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer.")}
        stored = {name: tensor for name, tensor in tensors.items() if name not in stored_optimizer}
        expected = {name: tensor for name, tensor in live.items() if not name.startswith("optimizer.")}
        if stored.keys() != expected.keys() or any(stored[n].shape != expected[n].shape for n in expected):
            raise StoreError("the checkpoint belongs to other execution settings (zero_stage) or another version")
        with torch.no_grad():
            for name, tensor in expected.items():
                tensor.copy_(stored[name])
        if self._sharded is not None:
            update_from_master_weights(self._engine.optimizer)
            self._sharded.changed()
        base = self._engine.basic_optimizer
        for index, parameter in enumerate(self._optimised()):
            prefix = f"optimizer.{index}."
            base.state[parameter] = {
                name.removeprefix(prefix): tensor.to(parameter.device, copy=True)
                for name, tensor in stored_optimizer.items()
                if name.startswith(prefix)
            }

    def _live_tensors(self) -> Iterator[tuple[str, Tensor]]:
        module = self._engine.module
        if self._sharded is None:
            yield from ((f"parameter.{name}", tensor) for name, tensor in module.named_parameters())
        persistent = module.state_dict().keys()
        yield from ((f"buffer.{name}", tensor) for name, tensor in module.named_buffers() if name in persistent)
        base = self._engine.basic_optimizer
        for index, parameter in enumerate(self._optimised()):
            if self.zero_stage > 0:
                # ZeRO optimises its own flat fp32 copy of the parameters.
                yield f"master.{index}", parameter
            for name, value in base.state.get(parameter, {}).items():
                yield f"optimizer.{index}.{name}", value

    def _optimised(self) -> Iterator[Tensor]:
        if self._sharded is not None:
            yield from master_weights(self._engine.optimizer)
            return
        for group in self._engine.basic_optimizer.param_groups:
            yield from group["params"]
