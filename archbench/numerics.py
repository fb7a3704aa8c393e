"""The number that stands for what archbench itself computes: a part of every run's identity, raised by hand."""

NUMERICS = 2
"""Raised by whoever changes a figure of a run beyond rounding, in the commit that changes it: in the trainer, batches
and their order, losses in `archbench.nn`, the schedule, evaluation, initialisation, clipping, or a block of
`archbench.nn` that several architectures use. A release that changes no number leaves it, and runs keep their ids.

What one component alone computes has a number of its own: `ComponentConfig.numerics`. 1 is what identities of format 1
were computed by, which had no such number.
"""
