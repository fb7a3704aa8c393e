"""`archbench completion`: scripts with which shells complete commands, options, specs, scans, runs and plug-ins."""

import click
from click.shell_completion import get_completion_class

from archbench.cli.main import PROGRAM, cli
from archbench.cli.terminal import echo

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_ARCHBENCH_COMPLETE"
"""Click looks at it when archbench starts: the shell sets it to ask for completions."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes archbench.

    Commands, options, spec files, names of scans, ids of runs, plug-ins and kinds are completed.

    \b
    To install it, for good:
      bash   archbench completion bash > ~/.archbench-complete.bash
             echo '. ~/.archbench-complete.bash' >> ~/.bashrc
      zsh    archbench completion zsh > ~/.archbench-complete.zsh
             echo '. ~/.archbench-complete.zsh' >> ~/.zshrc
      fish   archbench completion fish \\
               > ~/.config/fish/completions/archbench.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    # The text of the script alone: click's own `source` first asks bash for its version.
    complete = found(cli, {}, PROGRAM, VARIABLE)
    echo(complete.source_template % complete.source_vars())
