"""One rung of an architecture's ladder: its size, and its parameters and FLOPs against those of the built network."""

from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)

from archbench.contracts.architecture import ArchitectureConfig, Attention
from archbench.contracts.objective import ObjectiveConfig, model_vocab_size
from archbench.flops.dry_run import counted_step
from archbench.units import human_count, kaplan_train_flops

_NOT_WITHOUT_DATA = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException)
"""What networks raise on fake tensors where their shapes depend on numbers: no fault of theirs."""

TARGETS = (1e4, 1e5, 1e6, 1e7, 1e8, 3.5e8)
"""Non-embedding parameters asked for."""

SEQ_LEN = 128
_TEXT_VOCAB_SIZE = 257
_ROWS = 16
_SIZE_TOLERANCE = 0.05
_FLOPS_TOLERANCE = 0.01
"""As the conformance suite has it for small models."""


def check_rung(config: ArchitectureConfig, objective: ObjectiveConfig, target: float) -> str:
    """The rung nearest to `target` parameters in words. Raises AssertionError where it breaks a promise.

    The network is built and stepped on fake tensors: no memory to speak of, at any size.
    """
    vocab_size = model_vocab_size(_TEXT_VOCAB_SIZE, objective)
    dims = config.sized_for(target, vocab_size=vocab_size, seq_len=SEQ_LEN)
    shape = f"d_model {dims.d_model}, n_layers {dims.n_layers}, n_heads {dims.n_heads}, d_ff {dims.d_ff}"
    params = config.num_params(dims)
    off = params.non_embedding / target - 1.0
    assert abs(off) <= _SIZE_TOLERANCE, (
        f"sized_for: expected {target:,.0f} parameters within 5 %, got {params.non_embedding:,} ({off:+.1%}); {shape}"
    )
    assert (problems := config.problems(dims)) == [], f"sized_for gives a shape with problems: {problems[0]}"
    flops = config.forward_flops_per_token(dims, objective.attention)
    fraction = objective.predicted_fraction(SEQ_LEN)
    train = flops.train(fraction)
    seen_to_be = (
        f"{params.non_embedding:,} ({off:+.1%}), {params.total:,} with embeddings; {shape}; "
        f"{human_count(train)} FLOPs a token, {train / kaplan_train_flops(params.non_embedding, 1):.2f} x 6N"
    )
    try:
        counted = counted_step(config, dims, objective)
    except _NOT_WITHOUT_DATA as error:
        return f"{seen_to_be}; by formula alone, since the network looks at its values: {' '.join(str(error).split())}"
    assert counted.num_params == params.total, (
        f"num_params: expected {counted.num_params:,} parameters, as the network has, got {params.total:,}; {shape}"
    )
    for what, said, seen in (
        ("forward", flops.forward(fraction), counted.forward.at(_ROWS, SEQ_LEN)),
        ("training", train, counted.train.at(_ROWS, SEQ_LEN)),
    ):
        assert abs(said / seen - 1.0) <= _FLOPS_TOLERANCE, (
            f"forward_flops_per_token: expected {seen:,.0f} {what} FLOPs per token, as counted, got {said:,.0f} "
            f"({said / seen - 1.0:+.1%}); {shape}; {dict(flops.components)}"
        )
    return seen_to_be


def objective_kind(config: ArchitectureConfig) -> str:
    """The objective that `config` is checked under."""
    return "causal_lm" if Attention.CAUSAL in config.attention_modes else "masked_lm"
