"""`archbench forecast --transfer`: pre-train, fine-tune or train from scratch, and how large."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archbench.answers.plain import fields_of
from archbench.cli.common import print_json, wrapped
from archbench.cli.terminal import echo
from archbench.errors import SpecError, StoreError, nearest
from archbench.units import human_count

if TYPE_CHECKING:
    from archbench.results.runs import RunRecord
    from archbench.studies.transfer.forecast import TransferAnswer, TransferForecast, TransferOption

FAR = 10.0
"""A forecast beyond this multiple of the data is marked `far`; any other outside it, by its factor."""


@dataclass(frozen=True, slots=True)
class TransferQuestion:
    """What was asked for."""

    contender: str | None
    direction: str | None
    budgets: tuple[float, ...]
    target_tokens: float
    axis: str
    resamples: int
    seed: int


def answer_transfer(runs_dir: Path, scan: str, question: TransferQuestion, as_json: bool) -> None:
    """Prints the options of every direction of the scan's transfer studies that the question does not leave out."""
    from archbench.runs.store import RunStore
    from archbench.studies.transfer.results import FINETUNE

    store = RunStore(runs_dir)
    records, problems = store.records(store.scan(scan))
    for problem in problems:
        echo(f"warning: {problem}", err=True)
    studies = list(dict.fromkeys(record.study for record in records if record.role == FINETUNE))
    if not studies:
        raise StoreError(
            f"{scan!r}: has no fine-tuned run; a study of kind `transfer` in its spec plans them for `archbench run`"
        )
    found = [(study, one) for study in studies for one in _of_study(records, study, question)]
    if as_json:
        from archbench.answers.outputs.analysis import TransferForecastOutput, TransferRow

        rows = [TransferRow(**fields_of(one), study=study) for study, one in found]
        print_json(TransferForecastOutput(scan, rows))
        return
    for _, one in found:
        _print(one)


def _of_study(records: Sequence["RunRecord"], study: str, question: TransferQuestion) -> list["TransferForecast"]:
    from archbench.results.runs import CostAxis
    from archbench.studies.transfer.analysis import TransferSettings, measure_direction
    from archbench.studies.transfer.cells import transfer_runs
    from archbench.studies.transfer.forecast import forecast_transfer

    runs = transfer_runs([record for record in records if record.study == study])
    settings = TransferSettings(study, num_resamples=question.resamples, seed=question.seed)
    return [
        forecast_transfer(
            measure_direction(runs, *key, settings),
            runs,
            flops=budget,
            target_tokens=question.target_tokens,
            axis=CostAxis(question.axis),
            resamples=question.resamples,
            seed=question.seed,
        )
        for key in _chosen(runs.directions(), question)
        for budget in question.budgets
    ]


def _chosen(directions: Sequence[tuple[str, str, str]], question: TransferQuestion) -> list[tuple[str, str, str]]:
    contenders = list(dict.fromkeys(contender for contender, _, _ in directions))
    if question.contender is not None and question.contender not in contenders:
        raise SpecError(
            f"--contender: no fine-tuned run is of {question.contender!r}{nearest(question.contender, contenders)}"
        )
    names = list(dict.fromkeys(f"{source}:{target}" for _, source, target in directions))
    if question.direction is not None and question.direction not in names:
        raise SpecError(f"--direction: got {question.direction!r}, expected one of {', '.join(names)}")
    return [
        (contender, source, target)
        for contender, source, target in directions
        if question.contender in (None, contender) and question.direction in (None, f"{source}:{target}")
    ]


def _print(one: "TransferForecast") -> None:
    head = f"{one.contender}, {one.source} → {one.target}"
    tokens, flops = human_count(one.target_tokens), f"{one.flops:.3g} FLOPs ({one.cost_axis.value})"
    echo(f"{head}: {tokens} target tokens, {flops}")
    for option in one.options:
        echo(wrapped(f"  {option.kind.value}: {_option(option)}"))
    for answer in one.answers:
        if answer.best is not None and not one.remark:
            echo(wrapped(f"  lowest loss by the laws, {answer.given}: {answer.best.value} ({_sure(answer)})"))
    if one.remark:
        echo(wrapped(f"  {one.remark}"))
    for measured in one.measured:
        point = measured.point
        words = f"{point.loss_nats:.4g} nats, N {human_count(point.non_embedding_params)}, {point.cost:.3g} FLOPs"
        echo(wrapped(f"  measured at {human_count(measured.target_tokens)}: {measured.kind.value}: {words}"))


def _sure(answer: "TransferAnswer") -> str:
    if answer.alone:
        return "the other has no forecast"
    return "told apart" if answer.told_apart else "not told apart"


def _option(option: "TransferOption") -> str:
    if option.params is None or option.loss is None or option.flops is None:
        return f"no forecast: {option.reason}"
    low, high = option.loss.low, option.loss.high
    ends = f"{low:.4g} to {high:.4g}" if abs(low) < float("inf") else "no interval"
    words = f"N {human_count(option.params)}, loss {option.loss.value:.4g} ({ends}) nats, {option.flops:.3g} FLOPs"
    marks = []
    for factor, what in ((option.params_beyond_data, "the sizes"), (option.tokens_beyond_data, "the amounts of data")):
        if factor > 1.0 + 1e-9:
            marks.append(f"{'far: ' if factor >= FAR * 0.999 else ''}{factor:.3g}x beyond {what} of the study")
    if option.capped:
        marks.append("the budget affords more than the largest size considered")
    return words + (f"  [{'; '.join(marks)}]" if marks else "")
