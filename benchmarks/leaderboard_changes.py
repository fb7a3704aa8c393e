"""Rows of the leaderboard as two commits print them, side by side: a Markdown table for docs/figures_changed.md.

    python benchmarks/leaderboard_changes.py [--before d300641] [--after COMMIT]

Reads `leaderboard/README.md` of one commit and that of another, or of the working tree. Architectures are matched by
name inside each table of entries; alpha and multiplier are those on executed FLOPs.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = "leaderboard/README.md"
BEFORE = "d300641"
"""The last commit whose page read multipliers at the end of learning curves."""
COLUMNS = ("alpha", "multiplier")


def page_of(commit: str | None) -> str:
    """The leaderboard's page as `commit` has it; as the working tree has it without one."""
    if commit is None:
        return (ROOT / PAGE).read_text()
    done = subprocess.run(["git", "show", f"{commit}:{PAGE}"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{commit}:{PAGE}: git does not have it ({done.stderr.strip()}); a shallow clone needs more history")
    return done.stdout


def rows_of(page: str) -> dict[tuple[str, str], dict[str, str]]:
    """(title of the table, architecture) -> cells by column, of each table that has alpha and multiplier.

    Of several tables with one title the second and further ones are numbered.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    title, header = "", []
    titles: Counter[str] = Counter()
    for line in page.splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ").partition(" on ")[0]
            titles[title] += 1
            title += f" ({titles[title]})" if titles[title] > 1 else ""
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not header:
            header = cells
        elif {"architecture", *COLUMNS} <= set(header) and not all(set(cell) <= set("-:") for cell in cells):
            named = dict(zip(header, cells, strict=True))
            name = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", named["architecture"])
            rows[title, name] = named
    return rows


def table(before: str, after: str) -> str:
    """Markdown: each row of either page with both of its figures; a dash where a page has no such row."""
    old, new = rows_of(before), rows_of(after)
    lines = ["| table | architecture | alpha before | alpha now | multiplier before | multiplier now |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for key in dict.fromkeys((*old, *new)):
        figures = [side.get(key, {}).get(column, "-") for column in COLUMNS for side in (old, new)]
        lines.append(f"| {' | '.join((*key, *figures))} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", default=BEFORE, help="commit of the older page")
    parser.add_argument("--after", help="commit of the newer page; the working tree's if left out")
    options = parser.parse_args()
    print(table(page_of(options.before), page_of(options.after)))


if __name__ == "__main__":
    main()
