"""The stage of ZeRO that a run is trained at, and whether its optimizer can serve it. No torch here."""

from archbench.contracts.optimizer import OptimizerConfig


def stage_in_use(precision: str, asked: int) -> int:
    """The stage for `execution.zero_stage: asked`: bf16 runs at 1 or higher, where its fp32 copies are kept."""
    return max(1, asked) if precision == "bf16" else asked


def unserved_stage(optimizer: OptimizerConfig, precision: str, asked: int) -> tuple[tuple[str, str], str] | None:
    """The key of a spec that asks for what `optimizer` cannot serve, and why it cannot; None where it can."""
    stage = stage_in_use(precision, asked)
    if stage in optimizer.zero_stages:
        return None
    served = ", ".join(map(str, sorted(optimizer.zero_stages)))
    needs = f"optimizer {optimizer.kind!r} serves ZeRO stage {served} alone"
    if stage != asked:
        why = f"got {precision}, which is trained at ZeRO stage {stage}; {needs}: choose fp32"
        return ("training", "precision"), why
    why = f"got {asked}; {needs}: choose {min(optimizer.zero_stages)}, or optimizer adamw"
    return ("execution", "zero_stage"), why
