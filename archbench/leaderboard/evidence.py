"""What stands behind an entry, as Markdown: its runs, its protocol, where it ran, and how to run it again."""

import yaml

from archbench.display import fenced, markdown_code, markdown_line, markdown_text
from archbench.leaderboard.entry import LeaderboardEntry
from archbench.leaderboard.entry_run import EntryRun
from archbench.names import file_stem
from archbench.report.plotting import AXIS_NAMES, markdown_table
from archbench.report.words import number
from archbench.results.reference_lines import place_words
from archbench.results.runs import CostAxis, size_number
from archbench.units import human_count

OWN_ORIGIN = "archbench"


def evidence(entry: LeaderboardEntry) -> list[str]:
    """Blocks of Markdown without a heading: facts, figures as stated, runs, versions, spec, and what to do with it."""
    return [
        _facts(entry),
        "Figures, computed from the runs below whenever the page is made:\n\n" + _figures(entry),
        "Runs:\n\n" + _runs(entry),
        *_versions(entry),
        "The spec, every default filled in:\n\n" + fenced(_yaml(entry), "yaml"),
        _again(entry),
    ]


def _facts(entry: LeaderboardEntry) -> str:
    plugin = entry.environment.get("plugins", {}).get(entry.contender, {})
    origin = "trained by archbench" if entry.origin == OWN_ORIGIN else f"imported from {markdown_text(entry.origin)}"
    lines = [
        f"* scan {markdown_code(entry.scan)}, contender {markdown_code(entry.contender)}: architecture"
        f" {markdown_code(entry.architecture)}, objective {markdown_code(entry.objective)}, track"
        f" {markdown_code(entry.track)}",
        f"* origin: {origin}" + (f", added on {entry.added.isoformat()}" if entry.added else ""),
        "* implementation: " + markdown_line(f"{plugin['implementation']} ({plugin['paper']})")
        if {"implementation", "paper"} <= plugin.keys()
        else "",
        f"* plug-in {markdown_code(str(plugin['plugin']))} of "
        + markdown_text(f"{plugin['distribution']} {plugin['version']}")
        if {"plugin", "distribution", "version"} <= plugin.keys()
        else "",
        "* stands as published, without what the scan's contenders have in common" if entry.as_published else "",
        "* cannot have what the scan's contenders have in common: " + markdown_text(", ".join(entry.not_kept))
        if entry.not_kept
        else "",
        "* timed on " + " and ".join(map(markdown_text, sorted(entry.machines))) if entry.machines else "",
    ]
    listed = "\n".join(line for line in lines if line)
    return f"{markdown_text(entry.description)}\n\n{listed}" if entry.description else listed


def _figures(entry: LeaderboardEntry) -> str:
    rows = []
    for axis in CostAxis:
        figure = entry.figures.get(axis)
        if figure is None:
            continue
        alpha = f"`{figure.law_status.value}`" if figure.alpha is None else number(figure.alpha)
        floor = (
            f"`{figure.law_with_floor_status.value}`"
            if figure.alpha_with_floor is None
            else number(figure.alpha_with_floor)
        )
        back_test = "-" if figure.back_test_error is None else f"{100 * figure.back_test_error:+.1f} %"
        noise = "-" if figure.noise_std_nats is None else number(figure.noise_std_nats)
        rows.append([AXIS_NAMES[axis], alpha, floor, back_test, noise, _numbers(figure.dominated_sizes)])
    header = ["cost axis", "alpha", "alpha with floor", "back-test", "noise (nats)", "dominated sizes"]
    return markdown_table(header, rows, right=(1, 2, 3, 4))


def _numbers(size_indices: tuple[int, ...]) -> str:
    return ", ".join(str(size_number(index)) for index in size_indices) or "none"


def _runs(entry: LeaderboardEntry) -> str:
    header = ["size", "N", "seed", "tokens", "executed FLOPs", "final loss (nats per token)", "state", "run"]
    rows = [
        [
            str(size_number(run.size_index)),
            human_count(run.non_embedding_params),
            str(run.seed),
            human_count(run.planned_tokens),
            number(run.curve.exact_flops[-1]) if run.curve.exact_flops else "-",
            _final_loss(run),
            run.state.value + (f": {run.reason}" if run.reason else ""),
            f"`{run.run_id[:16]}`",
        ]
        for run in entry.runs
    ]
    if any(run.reference_lines for run in entry.runs):
        header.append("place between n-gram lines")
        rows = [[*row, _place(run)] for row, run in zip(rows, entry.runs, strict=True)]
    return markdown_table(header, rows, right=(1, 2, 3, 4, 5))


def _place(run: EntryRun) -> str:
    loss = run.final_loss_nats
    return "-" if loss is None else place_words(loss, run.reference_lines)


def _final_loss(run: EntryRun) -> str:
    loss = run.final_loss_nats
    return "-" if loss is None else f"{loss:.4f}"


def _versions(entry: LeaderboardEntry) -> list[str]:
    versions = entry.environment.get("versions", {})
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return [markdown_line(f"Versions: {listed}")] if versions else []


def _yaml(entry: LeaderboardEntry) -> str:
    text: str = yaml.safe_dump(entry.spec, sort_keys=False, allow_unicode=True, width=100)
    return text


def _again(entry: LeaderboardEntry) -> str:
    if entry.origin != OWN_ORIGIN:
        return "archbench did not train these runs; their curves are taken as given."
    spec = f"{file_stem(entry.scan)}.yaml"
    return (
        f"To train them again, save the spec as `{spec}` and say `archbench run {spec}`: the same"
        " stack gives the same losses, bit for bit."
    )
