"""The ladders that specs ask for, and what each rung costs, by formula. No torch here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from archbench.contracts.architecture import ArchitectureConfig, ForwardFlops, ModelDims
from archbench.contracts.data import TokenizerConfig
from archbench.contracts.matching import shape_of
from archbench.contracts.objective import ObjectiveConfig, trained_flops, trained_params
from archbench.spec.models import Contender, Spec
from archbench.spec.rates import given_batch
from archbench.units import kaplan_train_flops


@dataclass(frozen=True, slots=True)
class Ladder:
    """One contender's sizes in one protocol."""

    architecture: ArchitectureConfig
    objective: ObjectiveConfig
    text_vocab_size: int
    seq_len: int
    rows_per_pass: int
    sizes: tuple[float, ...]
    """Target non-embedding parameters, rising."""
    like: Contender | None = None
    """The contender whose cost its models have at each size; None where sizes are their parameters."""

    @property
    def name(self) -> str:
        """The architecture's kind."""
        return self.architecture.kind

    @property
    def title(self) -> str:
        """The architecture with the hyperparameters that are not its defaults, and the objective."""
        settings = self.architecture.model_dump(exclude_defaults=True, exclude={"kind"})
        name = f"{self.architecture.kind}, {self.objective.kind}"
        settings |= {"at the cost of": self.like.architecture.kind} if self.like else {}
        return name + "".join(f", {key} {value}" for key, value in settings.items())

    def rungs(self) -> Iterator["Rung"]:
        """The sizes as shapes. Raises ValueError where the architecture has none."""
        for size in self.sizes:
            dims = shape_of(self, size, like=self.like, text_vocab_size=self.text_vocab_size, seq_len=self.seq_len)
            yield Rung(self.architecture, self.objective, dims, self.rows_per_pass)


@dataclass(frozen=True)
class Rung:
    """One model of a ladder."""

    architecture: ArchitectureConfig
    objective: ObjectiveConfig
    dims: ModelDims
    rows_per_pass: int

    @cached_property
    def flops(self) -> ForwardFlops:
        """The architecture's own account, with that of the objective's head."""
        return trained_flops(self.architecture, self.objective, self.dims)

    @cached_property
    def non_embedding_params(self) -> int:
        """N, the objective's head included, as runs record it."""
        return trained_params(self.architecture, self.objective, self.dims).non_embedding

    @cached_property
    def embedding_params(self) -> int:
        """Embeddings and output matrix, and the embeddings of the objective's head."""
        return trained_params(self.architecture, self.objective, self.dims).embedding

    @property
    def components(self) -> dict[str, float]:
        """Forward FLOPs per input token by component, those of predictions scaled by the share of them."""
        return {
            name: flops * (self._predicted if name in self.flops.per_prediction else 1.0)
            for name, flops in self.flops.components.items()
        }

    @property
    def forward(self) -> float:
        """FLOPs per input token of a forward pass."""
        return self.flops.forward(self._predicted)

    @property
    def train(self) -> float:
        """FLOPs per input token of a training step: what runs record as exact."""
        return self.flops.train(self._predicted)

    @property
    def recomputed(self) -> float:
        """The part of `train` that the method itself runs a second time."""
        return sum(flops for name, flops in self.components.items() if name in self.flops.recomputed)

    @property
    def train_over_kaplan(self) -> float:
        """`train` over 6·N."""
        return self.train / kaplan_train_flops(self.non_embedding_params, 1)

    @property
    def _predicted(self) -> float:
        return self.objective.predicted_fraction(self.dims.seq_len)


def ladders(specs: Iterable[Spec]) -> list[Ladder]:
    """Every different ladder of `specs`, in the order in which they name them."""
    found: list[Ladder] = []
    for spec in specs:
        smallest = given_batch(spec.training.batch_tokens, 0, spec.scan.sizes[0], spec.training.seq_len)
        rows = spec.execution.fixed_micro_batch_rows or smallest // spec.training.seq_len
        for contender in spec.contenders:
            ladder = Ladder(
                architecture=contender.architecture,
                objective=contender.objective,
                text_vocab_size=_vocab_size(spec.data.tokenizer),
                seq_len=spec.training.seq_len,
                rows_per_pass=rows,
                sizes=tuple(spec.scan.sizes),
                like=spec.matched_to(contender),
            )
            if ladder not in found:
                found.append(ladder)
    return found


def _vocab_size(tokenizer: TokenizerConfig) -> int:
    """Ids of `tokenizer`: those it is asked for where it is trained, which a small text may not reach."""
    asked: int | None = getattr(tokenizer, "vocab_size", None)
    return asked if asked is not None else tokenizer.prepare(()).vocab_size
