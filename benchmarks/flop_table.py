"""FLOPs of every rung of the bundled ladders by component, checked against torch's counter.

    python benchmarks/flop_table.py                          the table, on standard output
    python benchmarks/flop_table.py --markdown docs/flops.md rewrites the tables of that page, whose words stay
    ... --markdown docs/flops.md --new                       counts only ladders that the page lacks or has otherwise

One thread, about three minutes of its time; no memory to speak of, since the counted steps run on fake tensors.
"""

import argparse
import re
import sys
from pathlib import Path

from archbench.flops.dry_run import CountedStep, counted_step
from archbench.flops.ladders import Ladder, Rung, ladders
from archbench.flops.table import analytic_line, ladder_table, unseen_lines
from archbench.host import default_host
from archbench.spec.load import load_spec

ROOT = Path(__file__).resolve().parent.parent
SPEC_FOLDERS = {"specs": "Ladders of `specs/`", "specs/gpu": "Ladders of `specs/gpu/`"}
LEFT_OUT = {"quickstart", "experts", "hybrid", "modern", "zoo"}
"""What repeats another one, and models of other libraries, whose costs are the counter's in any case."""
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def bundled_ladders(folder: str) -> list[Ladder]:
    """Every different ladder of the specs in `folder`, which is relative to the repository."""
    registry = default_host().registry
    paths = sorted(path for path in (ROOT / folder).glob("*.yaml") if path.stem not in LEFT_OUT)
    return ladders(load_spec(path, registry) for path in paths)


def tables(page: str = "") -> str:
    """All tables, and what the counter cannot see; what `page` shows by the present formulas is taken from it."""
    pieces = []
    everything: list[Ladder] = []
    for folder, title in SPEC_FOLDERS.items():
        found = bundled_ladders(folder)
        everything += found
        pieces += [f"## {title}", *(_shown(ladder, page) or ladder_table(ladder, _count) for ladder in found)]
    unseen = "\n".join(dict.fromkeys(unseen_lines(everything)))
    return "\n\n".join([*pieces, "## What the counter cannot see in single architectures", unseen])


def _shown(ladder: Ladder, page: str) -> str | None:
    """The table of `ladder` as `page` has it, if every line of it says what the formulas say now."""
    wanted = [analytic_line(rung) for rung in ladder.rungs()]
    for section in re.findall(r"^### .*?(?=\n\n#|\n<!--)", page, flags=re.DOTALL | re.MULTILINE):
        title, _, setting, _, _, _, *lines = section.splitlines()
        same = title == f"### {ladder.title}" and setting.endswith(f" {ladder.rows_per_pass} rows a pass.")
        shown = [line[: len(start)] for line, start in zip(lines, wanted, strict=False)]
        if same and len(lines) == len(wanted) and shown == wanted:
            return section
    return None


def _count(rung: Rung) -> CountedStep:
    print(f"{rung.architecture.kind} {rung.objective.kind} {rung.non_embedding_params:,}", file=sys.stderr, flush=True)
    return counted_step(rung.architecture, rung.dims, rung.objective)


def main() -> None:
    """Prints the tables, or writes them into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, help="page whose tables are replaced")
    parser.add_argument(
        "--new", action="store_true", help="keep tables of the page whose formulas are the present ones"
    )
    arguments = parser.parse_args()
    if arguments.new and arguments.markdown is None:
        parser.error("--new needs the page: --markdown docs/flops.md")
    text = tables(arguments.markdown.read_text() if arguments.new else "")
    if arguments.markdown is None:
        print(text)
        return
    page = arguments.markdown.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    arguments.markdown.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
