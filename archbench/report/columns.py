"""What every column of a report's data tables is: one name, one meaning, one unit.

Legend: N parameters without embeddings, D tokens, D_F tokens of fine-tuning, D_E effective data, D_T = D_E - D_F, C
cost.
"""

from collections.abc import Sequence

from archbench.contracts.report import Cell, Column, DataTable

_AXIS_UNIT = "FLOPs or seconds"
_KNOWN: dict[str, tuple[str, str]] = {
    # Who and what
    "contender": ("", "name of the contender in the spec"),
    "baseline": ("", "the contender it is held against"),
    "architecture": ("", "kind of the architecture"),
    "objective": ("", "kind of the training objective; of a law, what was minimised"),
    "track": ("", "losses compare inside one track only"),
    "cost_axis": (
        "",
        "kaplan: 6·N·D FLOPs; exact: FLOPs executed; device_seconds: time measured in training steps; "
        "processor_seconds: processor time in them",
    ),
    "study": ("", "name of the study in the spec"),
    "role": ("", "what the run is for in its study"),
    "labels": ("", "what else its study tells the run apart by"),
    "kind": ("", "of a frontier's point, whether its schedule had ended; else the kind of study or of frontier"),
    "run_id": ("", "SHA-256 of what changes the run's numbers"),
    "run_ids": ("", "the runs that it is the mean of"),
    "state": ("", "only runs that are done enter a fit"),
    "reason": ("", "why it is refused, failed, or dominated"),
    "status": ("", "ok where the figures may be read"),
    "notes": ("", "what must be known to read it"),
    # Runs and points
    "size": ("", "rung of the ladder as texts count it, 1 for the smallest"),
    "size_index": ("", "rung of the ladder, 0 for the smallest"),
    "non_embedding_params": ("parameters", "N, without token and position embeddings and output matrix"),
    "active_params": ("parameters", "of N, what a token uses: fewer in a mixture of experts"),
    "weight_bytes": ("bytes", "of all weights, embeddings and idle experts among them, at four bytes a parameter"),
    "lowest_at_its_memory": ("", "whether no model of at most as many bytes has a lower loss"),
    "embedding_params": ("parameters", "token and position embeddings and output matrix"),
    "seed": ("", "seed of the run"),
    "num_runs": ("runs", "seeds that it is the mean of"),
    "step": ("steps", "optimiser steps taken; of a decomposition, the number of the change, 0 for all of them at once"),
    "steps": ("steps", "optimiser steps taken; of a batch scan, those at which the run reached the loss"),
    "steps_spent": ("steps", "optimiser steps of the whole run"),
    "tokens": ("tokens", "D, tokens seen in training"),
    "batch_tokens": ("tokens", "tokens of one optimiser step"),
    "planned_tokens": ("tokens", "token budget of the run"),
    "unique_tokens": ("tokens", "different tokens that there were to learn from"),
    "kaplan_flops": ("FLOPs", "6·N·D"),
    "exact_flops": ("FLOPs", "executed, backward pass and recomputation included"),
    "device_seconds": ("seconds", "time measured in training steps"),
    "processor_seconds": ("seconds", "processor time in training steps, all threads and ranks; empty on accelerators"),
    "evaluated_documents": ("", "held-out documents of the evaluation at the end; empty without one"),
    "document_groups": ("", "groups of whole documents that resamples draw from"),
    "text": ("", "name of the held-out text in the spec, or the macro average: the mean over texts"),
    "rank": ("", "1 for the lowest loss on the row's text, at the largest size that all contenders have"),
    "text_error_nats": ("nats per token", "standard error of the loss from the choice of documents"),
    "difference_nats": ("nats per token", "loss minus the baseline's at the same size on the same documents"),
    "difference_text_error_nats": ("nats per token", "standard error of that difference from the choice of documents"),
    "cost": (_AXIS_UNIT, "cost on the row's cost axis"),
    "train_loss_nats": ("nats per token", "mean training loss since the point before"),
    "validation_loss_nats": ("nats per token", "loss on the evaluation set of the curve"),
    "loss_nats": ("nats per token", "validation loss"),
    "final_loss_nats": ("nats per token", "mean over seeds of the loss at the end"),
    "bits_per_byte": ("bits per byte", "the same loss; empty where not every token is predicted"),
    "unigram_nats": ("nats per token", "reference line: loss of a model of single tokens of the text that the run saw"),
    "bigram_nats": ("nats per token", "reference line: of a model of pairs; on or above it a loss is on the plateau"),
    "trigram_nats": ("nats per token", "reference line: of a model of triples"),
    "neighbours_nats": (
        "nats per token",
        "reference line of masked runs: p(token | left, right); that of their plateau",
    ),
    "place": ("", "of the last loss between the reference lines; unknown where none were noted"),
    "on_plateau": ("", "whether the last loss lies on or above the line of pairs; empty where that is not known"),
    "plateau_share": ("", "share of its tokens within a tenth of a step about the line of pairs"),
    "in_warmup": ("", "whether the learning rate was still rising; such points enter no fit"),
    "finished": ("", "whether the schedule had ended there"),
    # Sizes, tiers, laws
    "lead_from_cost": (_AXIS_UNIT, "cost from which the size is the envelope; empty if it never is"),
    "lead_to_cost": (_AXIS_UNIT, "cost to which the size is the envelope"),
    "dominated": ("", "whether a smaller size is better for less at each of its points, by more than the noise"),
    "tier": ("", "number of the tier that the size belongs to, from 1"),
    "tier_p_value": ("", "Holm-corrected, one-sided: that it gains half of what its ladder's law expects, or more"),
    "gain_outcome": ("", "gains, does_not_gain or not_resolved, beside the best smaller size at their final costs"),
    "gain_over_size": ("", "number of the best smaller size, from 1"),
    "gain_nats": ("nats", "loss of that size minus its own"),
    "gain_at_least_nats": ("nats", "lower one-sided 95 % bound of the gain"),
    "gain_at_most_nats": ("nats", "upper one-sided 95 % bound of the gain"),
    "expected_gain_nats": ("nats", "what the ladder's law, fitted without this size, expects for that spacing"),
    "gain_p_value": ("", "Holm-corrected, one-sided: that it gains nothing"),
    "seeds_to_settle": ("seeds", "that would settle what is not resolved, at the gain seen"),
    "seeds_at_every_size": ("", "whether they are needed at every size, else at this one"),
    "law": ("", "name of the law"),
    "law_loss_nats": ("nats per token", "loss by the law without floor; empty where it may not be read"),
    "equation": ("", "form of the law"),
    "floor": ("", "none, free, or pinned at a number of nats"),
    "alpha": ("", "exponent of L(C)"),
    "C_c": (_AXIS_UNIT, "scale of L = (C_c/C)^alpha"),
    "E": ("nats per token", "irreducible loss"),
    "points_used": ("points", "points that the law was fitted to"),
    "left_out": ("", "points or runs left out, by reason"),
    "residual_std": ("", "standard deviation of the residuals of ln L"),
    "parameter": ("", "name of the law's parameter; empty where the law is refused"),
    "value": ("", "value of the parameter, in the units of the law"),
    # Comparisons
    "multiplier": ("", "cost of the baseline over the contender's at equal loss; of transfer, D_E/D_F"),
    "low_90": ("", "lower end of the multiplier's 90 % interval"),
    "high_90": ("", "upper end of the multiplier's 90 % interval"),
    "low_95": ("", "lower end of the multiplier's 95 % interval"),
    "high_95": ("", "upper end of the multiplier's 95 % interval"),
    "extrapolated": ("", "whether the loss lies outside what both reach"),
    "variant": ("", "the convention that is changed"),
    "alpha_difference": ("", "exponent less the baseline's"),
    "p_value": ("", "two-sided, not corrected"),
    "holm_p_value": ("", "Holm-corrected over the comparisons of one table"),
    "multiplier_holm_p_value": ("", "two-sided p of a multiplier of 1, Holm-corrected over the baseline's comparisons"),
    "alpha_holm_p_value": ("", "of the difference of exponents, Holm-corrected over the baseline's comparisons"),
    "window_high_nats": ("nats per token", "highest loss that the headline multiplier is averaged over"),
    "window_low_nats": ("nats per token", "lowest loss that the headline multiplier is averaged over"),
    "trend": ("", "multiplier at the window's low loss over that at its high one: above 1 it grows with scale"),
    "answer": ("", "better, not better or inconclusive: whether the multiplier is above the margin"),
    "margin": ("", "what the question holds the multiplier against"),
    "bound_low": ("", "one-sided 95 % lower bound of the multiplier"),
    "bound_high": ("", "one-sided 95 % upper bound of the multiplier"),
    "asked_cost": (_AXIS_UNIT, "cost at which the question is asked; empty where it is asked at losses"),
    "seeds_to_answer": ("seeds", "at every size of both, that would settle an answer at the multiplier seen"),
    "further_cost": (_AXIS_UNIT, "what would settle it costs beyond what is spent"),
    "control": ("", "name of the control"),
    "control_failed": ("", "whether a control of the scan failed, so that no answer may be relied on"),
    "passed": ("", "whether the control came out as it must; empty where it cannot be judged"),
    "rung_slope": ("", "slope of ln multiplier over ln cost along the contender's sizes"),
    "rung_slope_p_value": ("", "two-sided, of no slope"),
    "rung_trend": ("", "grows, falls, or no trend shown"),
    "one_exponent": ("", "whether both may share one exponent (Holm, 5 %); empty where no test says so"),
    "curve_residual": ("", "mean of ln(loss/final loss) over the later part of training, less what the others say"),
    "curve_residual_error": ("", "its standard error by the scatter of seeds"),
    "largest_residual": ("", "largest residual of ln(loss/final loss) in that part of training"),
    "largest_residual_share": ("", "share of the run's compute at which that is"),
    "departs": ("", "whether the size departs from the others by more than chance and tolerance"),
    "read_from": ("", "form in which both frontiers were read"),
    "common_floor_nats": ("nats per token", "floor that both laws stand on; 0 where the runs show none"),
    "conclusion": ("", "what is said of the cost at equal loss against the baseline's"),
    "same_conclusion": ("", "whether it is the one as fitted; empty where either says nothing"),
    "sizes_fitted": ("sizes", "smaller sizes that the prediction was made from"),
    "predicted_nats": ("nats per token", "loss predicted at that cost"),
    "actual_nats": ("nats per token", "loss that came out"),
    "error": ("", "predicted over actual, less 1"),
    "covered": ("", "whether the interval holds what came out"),
    # Tuning
    "rung": ("", "round of successive halving, 0 for the first"),
    "rate": ("", "peak learning rate"),
    "chosen": ("", "whether the rate was chosen for its size"),
    # Studies
    "runs_used": ("runs", "runs that entered"),
    "steps_min": ("steps", "S_min: steps at a batch far above critical"),
    "tokens_min": ("tokens", "E_min: tokens at a batch far below critical"),
    "kaplan_flops_min": ("FLOPs", "C_min: compute at a batch far below critical"),
    "critical_batch_tokens": ("tokens", "B_crit = E_min/S_min"),
    "critical_batch_source": ("", "where B_crit comes from"),
    "allocation": ("", "check of the identity of exponents; empty where there is none"),
    "predicted_alpha_c": ("", "exponent of L(C_min) from those of N, B and S"),
    "measured_alpha_c": ("", "exponent of L(C_min) itself"),
    "params_exponent": ("", "exponent of the best N in compute"),
    "tokens_exponent": ("", "exponent of the best D in compute"),
    "batch_exponent": ("", "exponent of the best batch in compute"),
    "steps_exponent": ("", "exponent of the best number of steps in compute"),
    "overfitting_exponent": ("", "power of N that D must grow with to keep overfitting at one level"),
    "overfitting_factor": ("", "k of D = k·N^exponent at which the loss is `overfitting_level` above infinite data's"),
    "overfitting_level": ("", "share by which the loss may lie above infinite data's"),
    "flops": (_AXIS_UNIT, "budget on the study's cost axis"),
    "best_params": ("parameters", "N at the parabola's minimum"),
    "best_tokens": ("tokens", "D at the parabola's minimum"),
    "curvature": ("", "coefficients of (ln N)², ln N and 1"),
    "approach": ("", "way in which the best allocation was found"),
    "points": ("points", "points that it rests on"),
    "gradient_squared": ("", "mean unbiased estimate of |G|²"),
    "trace_covariance": ("", "mean unbiased estimate of tr Sigma, per token"),
    "measurements": ("", "measurements averaged"),
    "noise_scale_tokens": ("tokens", "B_simple = tr Sigma/|G|²"),
    "quantity": ("", "what is compared"),
    "at": ("", "where it is compared, in words"),
    "ratio": ("", "the first over the second"),
    # Decomposition
    "contenders": ("", "in the order of the changes"),
    "clock": ("", "what time per token was taken from"),
    "before": ("", "contender before the change"),
    "after": ("", "contender after the change"),
    "figure": ("", "what the effect is an effect on"),
    "runs": ("runs", "runs that it is taken from"),
    "seconds_per_token": ("seconds", "time per token of training"),
    "exact_flops_per_token": ("FLOPs", "executed per token of training"),
    "summed": ("", "sum of differences or product of ratios over the changes"),
    "direct": ("", "the same for all changes at once"),
    "num_told_apart": ("", "changes that are told apart from no effect"),
    "num_steps": ("", "number of changes"),
    # Transfer
    "source": ("", "text that was trained on first"),
    "target": ("", "text whose loss is measured"),
    "finetune_tokens": ("tokens", "D_F, different tokens of the target"),
    "target_tokens": ("tokens", "different tokens of the target"),
    "scratch_loss_nats": ("nats per token", "from scratch on the same tokens; empty where there is no such run"),
    "loss_ratio": ("", "loss from scratch over the fine-tuned one at equal tokens; above 1, pre-training helps"),
    "effective_tokens": ("tokens", "D_E"),
    "transferred_tokens": ("tokens", "D_T"),
    "fraction": ("", "D_F/D_E"),
    "mean_multiplier": ("", "geometric mean of D_E/D_F over the cells whose interval lies within the data"),
    "censored": ("", "below or above: the row's values of D_E are bounds"),
    "effect": ("", "what pre-training does there; of a decomposition, the change in the row's figure"),
    "low_data": ("", "whether D_F lies in the low-data regime; empty where that is not known"),
    "low_data_tokens": ("tokens", "end of the low-data regime"),
    "limit_loss_nats": ("nats per token", "what infinite data would give"),
    "monotone_loss_nats": ("nats per token", "after isotonic regression over D"),
    "regime_law": ("", "law that the low-data regime comes from, or why it is not known"),
    "noise_std_log": ("", "run-to-run standard deviation of ln L"),
    "noise_source": ("", "where the noise is seen"),
    "before_nats": ("nats per token", "loss on the source before fine-tuning"),
    "after_nats": ("nats per token", "loss on the source after fine-tuning"),
    "rise_nats": ("nats per token", "after less before"),
    "bytes_per_token": ("bytes", "of each text"),
    "source_bytes_per_token": ("bytes", "bytes of the source in one token"),
    "target_bytes_per_token": ("bytes", "bytes of the target in one token"),
    "unified_law_given_scratch": ("", "empty: that law needs one from scratch"),
    "common": ("", "the end that the ranked directions share"),
    "num_cells": ("cells", "pairs of N and D_F that all directions share"),
    "censored_cells": ("cells", "shared pairs left out, since an interval leaves the data there"),
    "statement": ("", "the order of directions, `>` where they are told apart"),
    "first": ("", "direction that helps more"),
    "second": ("", "direction that helps less"),
    "told_apart": ("", "whether the interval leaves out 1 and Holm's p is below 0.05"),
}
_ENDS = {
    "_low": "lower end of its 95 % interval, -inf where that is not known",
    "_high": "upper end of its 95 % interval, inf where that is not known",
}
_POINT = "point_"


def known_columns() -> tuple[Column, ...]:
    """Every column that archbench itself writes, ends of intervals apart, in the order of the documentation."""
    return tuple(Column(name, unit, about) for name, (unit, about) in _KNOWN.items())


def column(name: str) -> Column:
    """What the column `name` is; one that archbench does not know, as a plug-in's, has its name alone."""
    if name in _KNOWN:
        return Column(name, *_KNOWN[name])
    if name in ("low", "high"):
        end = "lower" if name == "low" else "upper"
        return Column(name, "", f"{end} end of the row's 95 % interval, in the units of its value")
    for suffix, about in _ENDS.items():
        stem = name.removesuffix(suffix)
        if stem != name and stem in _KNOWN:
            return Column(name, _KNOWN[stem][0], f"{stem}: {about}")
    stem = name.removeprefix(_POINT)
    if stem != name and stem in _KNOWN:
        return Column(name, _KNOWN[stem][0], f"{stem} of the inner row: {_KNOWN[stem][1]}")
    return Column(name, "", "")


def data_table(name: str, about: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> DataTable:
    """A table whose columns are known by their names."""
    return DataTable(name, about, tuple(column(one) for one in header), tuple(tuple(row) for row in rows))
