"""The ladders' costs as Markdown: what each component takes, and what torch's counter says to it."""

from collections.abc import Callable, Sequence

from archbench.contracts.architecture import ModelDims
from archbench.flops.dry_run import CountedStep
from archbench.flops.ladders import Ladder, Rung
from archbench.units import human_count

Count = Callable[[Rung], CountedStep]
"""Says what torch's counter sees in a rung's training step."""


def ladder_table(ladder: Ladder, count: Count) -> str:
    """The rungs of `ladder`, one a line, under a heading; `count` is asked for each."""
    rungs = list(ladder.rungs())
    vocab_size = rungs[0].dims.vocab_size
    components = list(rungs[0].components)
    header = [
        "N", "embedding", "d × L × heads × d_ff", *(name.replace("_", " ") for name in components),
        "forward", "train", "recomputed", "train / 6N", "counted / forward", "counted / train", "once a pass",
    ]  # fmt: skip
    lines = [
        f"### {ladder.title}",
        "",
        f"Context {ladder.seq_len}, vocabulary {vocab_size:,}, {ladder.rows_per_pass} rows a pass.",
        "",
        _line(header),
        _line(["---:"] * len(header)),
        *(f"{analytic_line(rung)}{counted_line(rung, count(rung))}" for rung in rungs),
    ]
    return "\n".join(lines)


def analytic_line(rung: Rung) -> str:
    """The formulas' part of a line: sizes, shape, forward FLOPs per token by component, sums, and the ratio to 6N."""
    cells = [
        f"{rung.non_embedding_params:,}",
        f"{rung.embedding_params:,}",
        _shape(rung.dims),
        *(human_count(flops) for flops in rung.components.values()),
        human_count(rung.forward),
        human_count(rung.train),
        human_count(rung.recomputed) if rung.recomputed else "0",
        f"{rung.train_over_kaplan:.2f}",
    ]
    return _line(cells)


def counted_line(rung: Rung, counted: CountedStep) -> str:
    """The counter's part: its FLOPs over the formula's, and what it saw once a pass as a share of a step."""
    once = counted.train.per_pass / (rung.rows_per_pass * rung.dims.seq_len) / rung.train
    cells = [
        f"{counted.forward.per_token / rung.forward:.5f}",
        f"{counted.train.per_token / rung.train:.5f}",
        f"{once:.2%}" if once else "0",
    ]
    return _line(cells)[1:]


def unseen_lines(ladders: Sequence[Ladder]) -> list[str]:
    """What each architecture says that the counter cannot see, as list items."""
    lines: list[str] = []
    for ladder in ladders:
        rung = next(ladder.rungs())
        for name, words in rung.flops.uncounted.items():
            # Some words hold figures of the rung: the smallest one stands for the ladder.
            where = f"{ladder.architecture.kind}, d_model {rung.dims.d_model}, context {rung.dims.seq_len}"
            lines.append(f"* {where}: {name.replace('_', ' ')}: {words}.")
    return lines


def _shape(dims: ModelDims) -> str:
    return f"{dims.d_model} × {dims.n_layers} × {dims.n_heads} × {dims.d_ff}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
