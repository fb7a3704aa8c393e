"""The command line: a group whose commands are imported when they are called, so that `--help` answers at once."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from archbench import errors, extras
from archbench.cli.lazy import LazyGroup
from archbench.cli.terminal import echo, flush, lost_output, prepare_streams

PROGRAM = "archbench"
EXIT_USAGE = 2
EXIT_PLUGIN = errors.PluginError.exit_code
EXIT_DEFECT = 70
"""EX_SOFTWARE of sysexits.h."""
EXIT_INTERRUPTED = 130
_NOWHERE = "the current folder has been removed; change into one that is there"

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("archbench.cli.run:run", "Train what a spec lacks, then analyse and report it."),
    "worker": ("archbench.cli.worker:worker", "Train what is planned in a store, on any machine that sees it."),
    "plan": ("archbench.cli.plan:plan", "Show a spec's runs, their cost and its problems; train nothing."),
    "init": ("archbench.cli.init:init", "Start a spec of your own, sized for a time."),
    "specs": ("archbench.cli.specs:specs", "List the bundled specs, or copy one to start your own."),
    "data": ("archbench.cli.data:data", "Show a spec's texts: documents, tokens, bytes per token."),
    "text": ("archbench.cli.text:text", "List the archives of the standard text, or fetch it ahead."),
    "status": ("archbench.cli.status:status", "Show which runs are done, running or failed, and why."),
    "cancel": ("archbench.cli.cancel:cancel", "Call off the runs of a scan that have not ended."),
    "view": ("archbench.cli.view:view", "Follow scans and compare runs in a browser."),
    "report": ("archbench.cli.report:report", "Write the report of a scan again."),
    "compare": ("archbench.cli.compare:compare", "Compare two architectures in the store."),
    "fit": ("archbench.cli.fit:fit", "Fit a law to a table of anybody's runs."),
    "import": ("archbench.cli.import_runs:import_runs", "Take runs in that were made elsewhere."),
    "forecast": ("archbench.cli.forecast:forecast", "Say what a law expects of sizes and budgets."),
    "leaderboard": (
        "archbench.cli.leaderboard:leaderboard",
        "Show your results beside the published ones; publish, check.",
    ),
    "plugins": ("archbench.cli.plugins:plugins", "List plug-ins: what they offer and what failed."),
    "doctor": ("archbench.cli.doctor:doctor", "Check this machine, with a remedy for each problem."),
    "schema": ("archbench.cli.schema:schema", "Print the JSON Schema of specs, for editors."),
    "runs": ("archbench.cli.runs:runs", "List stored runs, show one, train one again, make room."),
    "export": ("archbench.cli.export:export", "Write a finished run's model for others to load."),
    "completion": ("archbench.cli.completion:completion", "Print the script that completes commands in a shell."),
}
"""Name -> where the command is, and what it does; the text stands here so that `--help` imports no command."""


class CommandLine(LazyGroup):
    """Asks plug-ins for a name that it does not know."""

    _asked_plugins = False

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, places={name: place for name, (place, _) in COMMANDS.items()}, **settings)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands in the order in which a person meets them, then those of plug-ins."""
        self._ask_plugins()
        return [*COMMANDS, *sorted(self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            self._ask_plugins()
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name told."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"there is no command {args[0]!r}{errors.nearest(args[0], [*COMMANDS, *self.commands])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands with what they do; plug-ins' commands come from the objects that they have added."""
        own = [(name, what) for name, (_, what) in COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(own)
        self._ask_plugins()
        if self.commands:
            with formatter.section("Commands of plug-ins"):
                formatter.write_dl(
                    [(name, command.get_short_help_str(60)) for name, command in sorted(self.commands.items())]
                )

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Adds a plug-in's command. Raises ValueError for a name that is taken."""
        taken = name or cmd.name or ""
        if taken in COMMANDS or taken in self.commands:
            raise ValueError(f"there is a command {taken!r} already")
        super().add_command(cmd, name)

    def _ask_plugins(self) -> None:
        if self._asked_plugins:
            return
        self._asked_plugins = True
        from archbench.host import command_host

        command_host().notify("register_commands", cli=self)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="archbench", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of any error.")
def cli(debug: bool) -> None:
    """Compare Transformer architectures by their scaling laws."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code; each problem is one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    prepare_streams()
    somewhere = _is_somewhere()
    code = exit_code_of(arguments, debug="--debug" in arguments) if somewhere else _say(_NOWHERE, exit_code=EXIT_USAGE)
    flush()
    if (lost := lost_output()) is not None:
        code = _say(lost, exit_code=code or EXIT_USAGE)
    sys.exit(code)


def _is_somewhere() -> bool:
    """Whether the current folder exists: one may stand in a folder that somebody has removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def exit_code_of(arguments: Sequence[str], *, debug: bool) -> int:
    """Runs the command line and returns its exit code; debug: a problem is raised instead of said in one line."""
    output = sys.stdout
    try:
        result: Any = cli.main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", exit_code=EXIT_INTERRUPTED)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        echo(shown.getvalue(), err=True, nl=False)
        return error.exit_code
    except errors.ArchbenchError as error:
        if debug:
            traceback.print_exc()
        return _say(*error.problems, exit_code=error.exit_code)
    except BrokenPipeError:
        return _end_unread()
    except BaseException as error:
        unread = sys.stdout is not output or isinstance(error.__context__, BrokenPipeError)
        if isinstance(error, SystemExit) and unread:  # click and rich end like this what nobody reads any more
            sys.stdout = output
            return _end_unread()
        own_command = next((word for word in arguments if not word.startswith("-")), "") in COMMANDS
        if isinstance(error, SystemExit) and not own_command:
            raise  # how a plug-in's command may end
        flush()
        if (library := extras.missing_training_library(error)) is not None:
            needed = f"{_called(arguments)} needs {library}, which is not installed: {extras.REMEDY}"
            return _say(needed, exit_code=EXIT_PLUGIN)
        if isinstance(error, OSError) and lost_output() is not None:
            return EXIT_USAGE  # what was written by others than `echo`, as the text of --help
        if debug:
            traceback.print_exc()
        return _unforeseen(error, f"`{' '.join(['archbench', '--debug', *arguments])}` shows the traceback")
    return result if isinstance(result, int) else 0


def _called(arguments: Sequence[str]) -> str:
    """The command that `arguments` call, without what they ask of it."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    return f"`{PROGRAM} {command}`"


def _end_unread() -> int:
    """The reader (`| head`) has seen enough, and all is well."""
    # Python would complain once more when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _unforeseen(error: BaseException, again: str) -> int:
    """Says whose defect `error` is: that of the plug-in in whose code it arose, or archbench's."""
    from archbench.host import blamed

    words = errors.in_one_line(error)
    if (plugin := blamed(error)) is not None:
        return _say(f"plug-in {plugin!r} failed: {words}; {again}", exit_code=EXIT_PLUGIN)
    trace = traceback.extract_tb(error.__traceback__)
    where = f" in {trace[-1].name} ({trace[-1].filename}:{trace[-1].lineno})" if trace else ""
    return _say(f"a defect of archbench: {words}{where}; {again}", exit_code=EXIT_DEFECT)


def _say(*problems: str, exit_code: int) -> int:
    for problem in problems:
        echo(f"archbench: {' '.join(problem.split())}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
