"""How the learning rates were chosen: trials, what they cost, and where the choice is in doubt."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from archbench.contracts.report import DataTable, ReportSection, ScanResults
from archbench.display import Markdown
from archbench.report.plotting import markdown_table, save
from archbench.report.words import number
from archbench.results.runs import RESULT, size_number
from archbench.units import human_count

if TYPE_CHECKING:
    # Loaded where the section is made: registering sections must stay cheap.
    from archbench.analysis.frontier.tuning import ContenderBudget, LawCheck, RateLaw, TunedSize, Tuning


class TuningSection(ReportSection):
    """Trials of learning rates by contender and size, and the batch of each size."""

    kind: Literal["tuning"] = "tuning"
    title: str = "Tuning"
    order: int = 270
    summary: ClassVar[str] = "Trials of peak learning rates: counts, cost, chosen rates, optima, edges of the grid"

    def render(self, results: ScanResults, figures_dir: Path) -> str | None:
        """Words, a figure, tables of sizes and budgets; None where no rate was tuned and one batch serves all sizes."""
        from archbench.analysis.frontier.tuning import analyse_tuning

        tuning = analyse_tuning((*results.records, *results.trials))
        batches = self._batches(results)
        if tuning is None:
            return batches
        from archbench.report.tuning_figure import tuning as draw

        names = [budget.contender for budget in tuning.budgets]
        alt = "Final loss of every trial against peak learning rate, a panel for each size; the chosen rate is ringed."
        parts = [
            self._words(tuning),
            save(draw(tuning.sizes, names), figures_dir, "tuning", alt, ("trials",)) if tuning.sizes else "",
            self._sizes(tuning),
            self._laws(tuning.laws),
            self._checks(tuning),
            self._budgets(tuning.budgets),
            batches or "",
        ]
        return "\n\n".join(part for part in parts if part)

    def tables(self, results: ScanResults) -> Sequence[DataTable]:
        """Every trial with its loss."""
        from archbench.analysis.frontier.tuning import analyse_tuning
        from archbench.report.columns import data_table

        tuning = analyse_tuning((*results.records, *results.trials))
        header = ("contender", "size_index", "non_embedding_params", "rung", "rate", "loss_nats", "chosen")
        rows = [
            (size.contender, size.size_index, size.non_embedding_params, one.rung, one.rate, one.loss_nats,
             one.rate == size.rate)
            for size in (tuning.sizes if tuning is not None else ())
            for one in size.trials
        ]  # fmt: skip
        return [data_table("trials", "One trial of a peak learning rate.", header, rows)]

    def _words(self, tuning: "Tuning") -> str:
        counts = sorted({budget.num_trials for budget in tuning.budgets})
        if tuning.trials_equal:
            opening = f"Every contender was tuned by the same number of trials: {counts[0]}."
        else:
            opening = "**Contenders were tuned by unequal numbers of trials; their losses do not compare.**"
        return (
            f"{opening} A trial is a run with seed 0 whose schedule ends at its own budget. The rate with the lowest "
            "loss at the full budget is chosen, and its trial is the scan's run with seed 0, so that run is the best "
            "of several and lower than another seed's would be by about the noise, for every contender alike. The "
            "optimum is that of the parabola in log rate through the best trial and its neighbours; rates are near "
            "where run-to-run noise does not tell them apart from the chosen one."
        )

    def _sizes(self, tuning: "Tuning") -> str:
        header = ["contender", "size", "N", "trials by rung", "chosen rate", "optimum", "loss (nats)", "near",
                  "edge of the grid"]  # fmt: skip
        return markdown_table(header, [self._size(size) for size in tuning.sizes], right=(1, 2, 4, 5, 6))

    def _size(self, size: "TunedSize") -> list[str]:
        rungs = [one.rung for one in size.trials]
        counts = [f"{rungs.count(rung)}" for rung in range(max(rungs) + 1)]
        diverged = sum(one.loss_nats is None for one in size.trials)
        loss = next((one.loss_nats for one in size.last_rung if one.rate == size.rate), None)
        return [
            size.contender,
            str(size_number(size.size_index)),
            human_count(size.non_embedding_params),
            " + ".join(counts) + (f" ({diverged} diverged)" if diverged and not size.missing else ""),
            number(size.rate) if size.rate is not None else f"undecided ({'; '.join(size.missing) or 'no result yet'})",
            number(size.optimum.rate) if size.optimum is not None else "-",
            number(loss, 4) if loss is not None else "-",
            ", ".join(number(rate) for rate in size.near) or "none",
            Markdown(f"**{size.edge.value}**") if size.edge is not None else "no",
        ]

    def _laws(self, laws: "Sequence[RateLaw]") -> str:
        if not laws:
            return ""
        header = ["contender", "law of the best rate", "sizes", "in a spec"]
        rows = [
            [
                law.contender,
                f"{number(law.coefficient)} N^{number(law.exponent)}",
                str(law.num_sizes),
                f"learning_rate: {{power_law: {{coefficient: {law.coefficient:.3g}, exponent: {law.exponent:.3g}}}}}",
            ]
            for law in laws
        ]
        return (
            "Through the optima of each contender, or its chosen rate where there is no optimum, goes a power law of "
            f"N, which other scans may take as that contender's rate:\n\n{markdown_table(header, rows, right=(2,))}"
        )

    def _checks(self, tuning: "Tuning") -> str:
        if not tuning.checks:
            return ""
        header = ["contender", "checked at size", "rate of the law", "loss (nats)", "beside it", "law's excess (nats)",
                  "verdict"]  # fmt: skip
        return (
            "The other sizes take their rate from the power law through the two smallest ones' optima, checked at one "
            f"of them:\n\n{markdown_table(header, [self._check(one) for one in tuning.checks], right=(1, 2, 3, 5))}"
        )

    def _check(self, check: "LawCheck") -> list[str]:
        words = {True: Markdown("**loses by more than noise**"), False: "holds within noise", None: "noise unknown"}
        beside = [
            f"{number(one.rate)}: {number(one.loss_nats, 4) if one.loss_nats is not None else one.state.value}"
            for one in check.others
        ]
        return [
            check.contender,
            str(size_number(check.size_index)),
            number(check.rate),
            number(check.loss_nats, 4) if check.loss_nats is not None else "-",
            ", ".join(beside),
            number(check.excess_nats, 2) if check.excess_nats is not None else "-",
            words[check.beyond_noise] if check.excess_nats is not None else "-",
        ]

    def _budgets(self, budgets: "tuple[ContenderBudget, ...]") -> str:
        header = ["contender", "trials", "tokens", "executed FLOPs", "of which for tuning alone", "share of all"]
        rows = [
            [
                one.contender,
                str(one.num_trials),
                human_count(one.tokens),
                number(one.exact_flops),
                number(one.extra_exact_flops),
                f"{100 * one.extra_share:.0f} %",
            ]
            for one in budgets
        ]
        return markdown_table(header, rows, right=(1, 2, 3, 4, 5))

    def _batches(self, results: ScanResults) -> str | None:
        """The batch of each size, where sizes differ in it."""
        batches: dict[int, set[int]] = {}
        for record in results.records:
            if record.role == RESULT:
                batches.setdefault(record.size_index, set()).add(record.batch_tokens)
        if len(set().union(*batches.values())) <= 1:
            return None
        listed = [
            f"size {size_number(index)} {', '.join(f'{one:,}' for one in sorted(batches[index]))}"
            for index in sorted(batches)
        ]
        return f"Tokens per optimiser step, the same for all contenders: {'; '.join(listed)}."
