"""Which families of the installed transformers `kind: transformers` takes, tried one by one, and why not the others.

    python -m archbench.testing.families [MODEL_TYPE...] [--page FILE]

Each is tried as a spec would try it, by name alone, at one rung of the laptop protocol: a small model of the library's
default proportions is built, followed back by gradient, counted, and trained for ten steps. One process on one thread;
a family takes seconds, one that loops over positions minutes. What was found is kept as every count is, so that a
second call, or one that goes on after an interruption, tries what is new alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from archbench.contracts.architecture import ArchitectureConfig, ModelDims
from archbench.contracts.counting import answer
from archbench.contracts.matching import train_flops_per_token
from archbench.contracts.objective import (
    ExampleContext,
    ObjectiveConfig,
    Windows,
    model_vocab_size,
    special_token_ids,
    trained_params,
)
from archbench.durable import write_whole
from archbench.errors import ArchbenchError, in_one_line
from archbench.host import default_host
from archbench.report.plotting import markdown_table
from archbench.testing.small_texts import small_texts
from archbench.units import kaplan_train_flops

OBJECTIVES = {"causal": "causal_lm", "masked": "masked_lm"}
"""The tracks, and what is trained in each."""
STEPS = 10
"""Of AdamW at a rate of 0.003 on one batch."""

_ROWS = 4
_TEXT_IDS = 257
"""Bytes and the end of a document."""
_SEQ_LEN = 128
_RATE = 3e-3


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found of one family under one objective."""

    model_type: str
    track: str
    """`causal` or `masked`."""
    refused: str | None
    """Why it cannot serve, in one line; None where it can."""
    non_embedding: int = 0
    active: int = 0
    """Of those, what a token uses: fewer in a mixture of experts."""
    flops_over_6n: float = 0.0
    """Executed FLOPs of training per token over six times the active parameters."""
    nats: tuple[float, float] = (0.0, 0.0)
    """Loss per predicted token of the batch before and after `STEPS` steps on it."""

    @property
    def learns(self) -> bool:
        """Whether it is taken, and its loss has fallen."""
        return self.refused is None and self.nats[1] < self.nats[0]

    @property
    def outcome(self) -> str:
        """In a word or a line."""
        if self.refused is not None:
            return self.refused
        return "passes" if self.learns else f"{STEPS} steps do not lower its loss"


def family_names(config: ArchitectureConfig) -> dict[str, list[str]]:
    """The families of each track that the library lists; answers `archbench.contracts.counting`, and loads torch."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    return {"causal": sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES), "masked": sorted(MODEL_FOR_MASKED_LM_MAPPING_NAMES)}


def loss_of_ten_steps(config: ArchitectureConfig, dims: dict[str, Any], objective: str) -> list[float]:
    """Nats per predicted token before and after `STEPS` steps on one batch; answers `archbench.contracts.counting`.

    Raises ValueError, in one line, where a step fails.
    """
    import torch

    from archbench.nn.language_model import auxiliary_losses

    shape = ModelDims.model_validate(dims)
    goal = default_host().registry.objectives[objective].config(kind=objective)
    batch = {name: torch.from_numpy(array) for name, array in _batch(goal, shape).items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model = config.build(shape, goal.attention).train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
            nats: list[float] = []
            for _ in range(STEPS + 1):
                with auxiliary_losses(model) as own:
                    parts = goal.loss(model, None, batch, None)
                mean = parts.nats / parts.predictions
                nats.append(float(mean.detach()))
                optimizer.zero_grad()
                torch.autograd.backward(torch.stack([mean, *own]).sum())
                optimizer.step()
        except Exception as error:  # the library's own, of any class
            raise ValueError(f"cannot be trained: {in_one_line(error)}") from error
    return [nats[0], nats[-1]]


def tried(model_type: str, track: str) -> Trial:
    """One family, tried; what was found before is looked up."""
    registry = default_host().registry
    goal = registry.objectives[OBJECTIVES[track]].config(kind=OBJECTIVES[track])
    try:
        config = registry.architectures["transformers"].config.model_validate({"model_type": model_type})
        if problem := config.unsupported(goal.attention):
            return Trial(model_type, track, problem)
        dims = laptop_rung(config, goal)
        params = trained_params(config, goal, dims)
        flops = train_flops_per_token(config, goal, dims)
        first, last = answer(
            "archbench.testing.families:loss_of_ten_steps", config, dims=dims.model_dump(), objective=goal.kind
        )
    except ValidationError as error:
        return Trial(model_type, track, in_one_line(error))
    except (ArchbenchError, ValueError) as error:
        return Trial(model_type, track, " ".join(str(error).split()))
    return Trial(
        model_type,
        track,
        None,
        non_embedding=params.non_embedding,
        active=params.active,
        flops_over_6n=flops / kaplan_train_flops(params.active, 1),
        nats=(first, last),
    )


def laptop_rung(config: ArchitectureConfig, objective: ObjectiveConfig) -> ModelDims:
    """The shape that families are tried at: width 32, two layers, bytes, context 128."""
    plain = ModelDims(
        vocab_size=model_vocab_size(_TEXT_IDS, objective), seq_len=_SEQ_LEN, d_model=32, n_layers=2, n_heads=4, d_ff=128
    )
    adapted: ModelDims = getattr(config, "adapted")(plain)  # noqa: B009  # of the ladder's architectures
    return adapted


def _batch(objective: ObjectiveConfig, dims: ModelDims) -> dict[str, NDArray[np.int64]]:
    text = _Text(np.frombuffer("\n".join(small_texts(40)).encode(), dtype=np.uint8).astype(np.int64))
    length = objective.stride(dims.seq_len) + objective.lookahead
    numbers = np.arange(_ROWS)
    return objective.examples(
        Windows(
            tokens=np.stack([text.window(number * length, length) for number in range(_ROWS)]),
            starts=numbers * length,
            rows=numbers,
            step=0,
            seed=0,
        ),
        ExampleContext(
            source=text,
            seq_len=dims.seq_len,
            vocab_size=dims.vocab_size,
            text_vocab_size=_TEXT_IDS,
            special_ids=special_token_ids(_TEXT_IDS, objective),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Text:
    tokens: NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        return len(self.tokens)

    def window(self, start: int, length: int) -> NDArray[np.int64]:
        return self.tokens[start : start + length]


def page(trials: Sequence[Trial]) -> str:
    """What was found, as Markdown."""
    lines = [
        "# Families of transformers",
        "",
        "Written by `python -m archbench.testing.families --page docs/families.md` with transformers"
        f" {version('transformers')} and torch {version('torch')}: every family of `AutoModelForCausalLM` and"
        " `AutoModelForMaskedLM`, each by its `model_type` alone, with random weights, on a CPU.",
        "",
        f"A model of width 32 and two layers in the proportions of the library's default config reads {_SEQ_LEN} bytes."
        " *Passes* is said of one that is built and run, whose logits are the library's, whose gradients show that it"
        " sees no later token (causal) or sees them (masked) and no other row, whose parameters and FLOPs are counted,"
        f" and whose loss on a batch of made-up words falls within {STEPS} steps of AdamW. N has no embeddings; of a"
        " mixture of experts it is given in all and as a token uses it, and FLOPs of a training step per token are over"
        " six times the latter. How a spec asks for one: [bridges.md](bridges.md).",
    ]
    for track in OBJECTIVES:
        of_track = [trial for trial in trials if trial.track == track]
        if not of_track:
            continue
        good, others = ([one for one in of_track if one.learns is wanted] for wanted in (True, False))
        lines += ["", f"## {track.capitalize()}: {len(good)} of {len(of_track)} pass", ""]
        header = ("family", "N", "N of a token", "FLOPs / 6N", "loss before (nats)", f"after {STEPS} steps")
        lines += [markdown_table(header, [_cells(one) for one in good], right=range(1, 6)), ""]
        if others:
            lines += [f"### {track.capitalize()}: why not", ""]
            lines += [markdown_table(("family", "reason"), [(one.model_type, one.outcome) for one in others])]
    return "\n".join(lines) + "\n"


def _cells(trial: Trial) -> list[str]:
    active = f"{trial.active:,}" if trial.active != trial.non_embedding else ""
    losses = [f"{nats:.3f}" for nats in trial.nats]
    return [trial.model_type, f"{trial.non_embedding:,}", active, f"{trial.flops_over_6n:.2f}", *losses]


@click.command()
@click.argument("model_types", nargs=-1, metavar="[MODEL_TYPE...]")
@click.option("--page", "file", type=click.Path(path_type=Path), help="Where the page goes; standard output otherwise.")
def main(model_types: Sequence[str], file: Path | None) -> None:
    """Try families of transformers as `kind: transformers` takes them; all of them unless some are named."""
    config = default_host().registry.architectures["transformers"].config.model_validate({"model_type": "gpt2"})
    try:
        listed = answer("archbench.testing.families:family_names", config)
    except ArchbenchError as error:
        raise click.ClickException(str(error)) from None
    unknown = [name for name in model_types if not any(name in names for names in listed.values())]
    if unknown:
        raise click.UsageError(f"transformers lists no causal or masked model of {', '.join(unknown)}")
    trials = []
    for track, names in listed.items():
        for name in names:
            if model_types and name not in model_types:
                continue
            trials.append(tried(name, track))
            click.echo(f"{track} {name}: {trials[-1].outcome}", err=True)
    if file is None:
        click.echo(page(trials), nl=False)
        return
    try:
        write_whole(file, page(trials).encode())
    except OSError as error:
        raise click.UsageError(f"--page {file}: cannot be written: {error.strerror or error}") from None


if __name__ == "__main__":
    main()
