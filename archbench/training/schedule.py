"""What is known of a run before it starts: the learning rate of each step and when it is evaluated. No torch here."""

import itertools
import math

from archbench.contracts.schedule import ScheduleSettings
from archbench.spec.identity import EvaluationSettings, TrainingSettings

WSD_DOUBLINGS = 5.0
"""Doublings of the steps over which `evaluation.points` evaluations are spread under `warmup_stable_decay`."""


def learning_rate(training: TrainingSettings, step: int) -> float:
    """The rate of optimiser step `step`, counted from 1: `peak_learning_rate` times `schedule_factor`."""
    return training.peak_learning_rate * schedule_factor(training.schedule, step, training.total_steps)


def schedule_factor(schedule: ScheduleSettings, step: int, total_steps: int) -> float:
    """Share of the peak rate at optimiser step `step` in [1, total_steps].

    The last warm-up step is the first at the peak; `final_fraction` is reached at the last step. Cosine: Loshchilov
    and Hutter 2017, equation 5; warm-up, stable, decay with a linear decay: Hägele et al. 2024, section 3; inverse
    square root of the step, which reaches no fraction in particular: Vaswani et al. 2017, equation 3.
    """
    if step <= schedule.warmup_steps:
        return step / schedule.warmup_steps
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "inverse_sqrt":
        return math.sqrt(max(1, schedule.warmup_steps) / step)
    start = schedule.warmup_steps
    if schedule.kind == "warmup_stable_decay":
        start = decay_start(schedule, total_steps)
    if step <= start:
        return 1.0
    elapsed = (step - start) / (total_steps - start)
    remaining = 0.5 * (1.0 + math.cos(math.pi * elapsed)) if schedule.kind == "cosine" else 1.0 - elapsed
    return schedule.final_fraction + (1.0 - schedule.final_fraction) * remaining


def in_warmup(schedule: ScheduleSettings, step: int) -> bool:
    """Whether the rate was still rising after `step` optimiser steps; step 0 always counts as warm-up."""
    return step < max(1, schedule.warmup_steps)


def decay_start(schedule: ScheduleSettings, total_steps: int) -> int:
    """The last step before a `warmup_stable_decay` schedule leaves its peak; up to there, longer runs are the same."""
    return max(schedule.warmup_steps, total_steps - round(schedule.decay_fraction * total_steps))


def evaluation_steps(training: TrainingSettings, evaluation: EvaluationSettings) -> tuple[int, ...]:
    """Steps after which a run is evaluated: 0, then about `points`; the last one is one.

    Evenly spaced in log step, or in step where `spacing` is linear. Points inside warm-up enter no frontier, so
    logarithmic spacing starts at the end of warm-up (or a tenth of the way, if that is earlier), with a single point
    halfway through what comes before.

    Under `warmup_stable_decay` it starts at the end of warm-up, at `points`/5 steps a doubling: a run is then
    evaluated at the steps of every longer one, as branching off its checkpoint demands.
    """
    total = training.total_steps
    spaced = max(1, evaluation.points - 1)
    if evaluation.spacing == "linear":
        return tuple(sorted({0, *(max(1, round(total * index / spaced)) for index in range(1, spaced + 1))}))
    if training.schedule.kind == "warmup_stable_decay":
        first = max(1, training.schedule.warmup_steps)
        per_doubling = max(1.0, evaluation.points / WSD_DOUBLINGS)
        anchored = (round(first * 2.0 ** (index / per_doubling)) for index in itertools.count())
        steps = {0, max(1, first // 2), *itertools.takewhile(lambda step: step < total, anchored), total}
        return tuple(sorted(steps))
    first = max(1, min(training.schedule.warmup_steps, total // 10))
    ratio = total / first
    steps = {0, max(1, first // 2), total}
    steps.update(round(first * ratio ** (index / max(1, spaced - 1))) for index in range(spaced) if spaced > 1)
    return tuple(sorted(steps))


def evaluation_share(training: TrainingSettings, evaluation: EvaluationSettings) -> float:
    """FLOPs of all evaluations over FLOPs of training, where a forward pass is a third of a training step."""
    return len(evaluation_steps(training, evaluation)) * evaluation.tokens / (3.0 * training.total_tokens)
