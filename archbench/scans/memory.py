"""How much memory a run is expected to hold, so that no more runs go on at once than fit."""

from archbench.spec.identity import RunPlan

PROCESS_BYTES = 450_000_000
"""Of a worker before its first model: Python, torch, transformers and DeepSpeed. Measured on Linux: 0.44 GB."""

_WEIGHT_BYTES_PER_PARAM = 8
"""fp32 weights and gradients; bf16 with its fp32 master copy takes as much. What the optimizer keeps comes to it."""

_FLOATS_PER_LAYER = 16
"""Activations of the width d_model that a layer keeps for its backward pass: norms, projections, residuals."""


def expected_memory_bytes(plan: RunPlan) -> int:
    """Peak memory of one process that trains `plan`, an upper estimate: activations are counted as if none was freed.

    Reversible layers keep less. Attention is counted with its scores, which fused kernels never store.
    """
    dims, facts = plan.identity.dims, plan.facts
    rows = plan.identity.training.batch_tokens // dims.seq_len
    tokens = (plan.execution.micro_batch_rows or rows) * dims.seq_len
    per_layer = _FLOATS_PER_LAYER * dims.d_model + 3 * dims.d_ff + 2 * dims.n_heads * dims.seq_len
    activations = 4 * tokens * (dims.n_layers * per_layer + 3 * dims.vocab_size)
    bytes_per_param = _WEIGHT_BYTES_PER_PARAM + facts.optimizer_bytes_per_param
    state = bytes_per_param * (facts.non_embedding_params + facts.embedding_params)
    return PROCESS_BYTES + state + activations
