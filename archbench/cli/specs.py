"""`archbench specs`: the specs that come with archbench, and starting one's own from one of them."""

from pathlib import Path

import click

from archbench import bundled_specs
from archbench.cli import complete
from archbench.cli.common import PATH, json_option, note, print_json, print_table, shell_words
from archbench.cli.outputs.plans import SpecRow
from archbench.cli.terminal import echo
from archbench.durable import write_whole
from archbench.errors import SpecError, nearest
from archbench.host import default_host
from archbench.spec.layers import EXTENDS, read_spec
from archbench.spec.load import load_spec
from archbench.spec.models import Spec
from archbench.spec.yaml_loader import load_yaml
from archbench.spec.yaml_writer import to_yaml
from archbench.units import counted, human_count, kaplan_train_flops

_HEADERS = ("spec", "contenders", "sizes", "runs", "6ND", "what it asks")


@click.group(invoke_without_command=True)
@click.pass_context
def specs(context: click.Context) -> None:
    """List the specs that come with archbench, or copy one."""
    if context.invoked_subcommand is None:
        context.invoke(list_specs, as_json=False)


@specs.command("list")
@json_option
def list_specs(as_json: bool) -> None:
    """List the bundled specs: what each compares, its sizes, what it costs.

    6ND is the training FLOPs of the runs of its size scan, by 6·N·D at the sizes asked for; studies and searches come
    on top, and `archbench plan NAME` counts them all.
    """
    registry = default_host().registry
    # What is common to contenders is left out: of a library's models torch alone could tell which of it they keep.
    rows = [
        _row(name, path, load_spec(path, registry, ("common={}",)))
        for name, path in bundled_specs.bundled_specs().items()
    ]
    if as_json:
        print_json(rows)
        return
    table = [
        (
            row.name,
            str(len(row.contenders)),
            _span(row.sizes),
            str(row.runs) if row.runs else "studies",
            human_count(row.kaplan_flops) if row.runs else "",
            row.description,
        )
        for row in rows
    ]
    print_table(_HEADERS, table, left=("spec", "what it asks"))
    note(f"{counted(len(rows), 'spec')}; `archbench run NAME` runs one, `archbench specs copy NAME` starts your own")


@specs.command("copy")
@click.argument("name", metavar="NAME", shell_complete=complete.bundled_spec_names)
@click.argument("file", type=PATH, metavar="[FILE]", required=False)
def copy_spec(name: str, file: Path | None) -> None:
    """Write the bundled spec NAME to FILE, to be changed; NAME.yaml otherwise.

    A spec that extends others is written with all that it extends. Nothing is overwritten.

    \b
    Examples:
      archbench specs copy quickstart
      archbench specs copy gpu/gpt2 mine.yaml
    """
    path = bundled_specs.bundled_specs().get(name)
    if path is None:
        raise SpecError(f"there is no bundled spec {name!r}{nearest(name, bundled_specs.bundled_specs())}")
    target = file or Path(f"{Path(name).name}.yaml")
    if target.exists() or target.is_symlink():
        raise SpecError(f"{target}: exists already; name another FILE")
    try:
        write_whole(target, _content(name, path, target).encode())
    except OSError as error:
        raise SpecError(f"{target}: cannot be written: {error.strerror or error}; name another FILE") from error
    echo(str(target))
    note(f"change its `name:` too, so that its runs and report stand beside those of {name!r}; then:")
    note(f"  {shell_words('archbench', 'plan', target)}")


def _content(name: str, path: Path, target: Path) -> str:
    """The spec as it is written, comments included; merged with what it extends, where it extends something."""
    text = path.read_text(encoding="utf-8")
    if EXTENDS in load_yaml(path).data:
        text = to_yaml(read_spec(path).data)
    # A bundled spec begins by saying how it is run.
    return f"# From the bundled spec {name!r}.\n" + text.replace(f"specs/{name}.yaml", str(target))


def _row(name: str, path: Path, spec: Spec) -> SpecRow:
    runs, flops = _size_scan(spec)
    return SpecRow(
        name=name,
        description=spec.description,
        contenders=list(spec.names),
        sizes=list(spec.scan.sizes),
        studies=list(spec.studies),
        runs=runs,
        kaplan_flops=flops,
        path=str(path),
    )


def _size_scan(spec: Spec) -> tuple[int, float]:
    """Number of runs of the size scan, and their FLOPs by 6·N·D with N as the spec asks for it."""
    if not spec.scan.trained:
        return 0, 0.0
    trained = len(spec.contenders) + len(spec.controls)
    runs, flops = 0, 0.0
    for index, size in enumerate(spec.scan.sizes):
        for tokens, _ in spec.scan.budgets(round(size), size):
            again = trained * spec.scan.seeds.count(index)
            runs += again
            flops += again * kaplan_train_flops(round(size), round(tokens))
    return runs, flops


def _span(sizes: list[float]) -> str:
    if len(sizes) == 1:
        return human_count(sizes[0])
    return f"{len(sizes)}, {human_count(sizes[0])} to {human_count(sizes[-1])}"
