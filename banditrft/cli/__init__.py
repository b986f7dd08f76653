"""The front door: one file per command, the only place that combines rooms, each imported when called."""

import sys
from importlib import import_module

import click

from banditrft.errors import InputError
from banditrft.names import visible

COMMANDS = {
    "new": "Write a commented study file to start from.",
    "predict": "Closed forms for a planned run: rounds to converge, signal, noise.",
    "sim": "Run a study's simulated worlds; only what is missing.",
    "llm": "Run a study's language-model worlds; only what is missing.",
    "difficulty": "Base Pass@1 of every item of a task, to pick training queries by.",
    "grade": "Grade responses strictly and leniently: GSM8K, MATH, arithmetic.",
    "diagram": "Phase diagrams of the simulated world: figures with their data.",
    "import": "Logs of TRL, verl or plain tables as records.",
    "fit": "Models of learning curves, fitted, compared, and judged by what they forecast.",
    "diagnose": "Known failure signatures in records, and on what evidence.",
    "power": "Seeds that each claim of a study needs, from a pilot.",
    "report": "Verdicts and report.html from a study's records.",
    "fields": "Every field of a study file: kind, default, meaning.",
    "lint": "Check a study file and explain degenerate settings.",
    "status": "Which runs of a study are there.",
    "base-model": "The tiny base models: list, show, train again.",
    "reproduce": "Simulate, run, analyse and report a preset in one go.",
}

SAID = 20
"""Lines of an error that are printed."""


class Commands(click.Group):
    """Knows the commands by name and imports one only when it is called, which keeps --help fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order a study uses them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command's module."""
        if cmd_name not in COMMANDS:
            return None
        name = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        command: click.Command = import_module(f"banditrft.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="banditrft")
def banditrft() -> None:
    """Predict a reinforcement fine-tuning run, run it, and know whether what you saw is real."""


def main() -> None:
    """Entry point: exit 0 when all went well, 1 for failed work, 2 for bad input, 130 after Ctrl-C."""
    try:
        code = banditrft(standalone_mode=False)
    except InputError as error:
        lines = visible(str(error)).splitlines()
        more = [f"and {len(lines) - SAID} more"] if len(lines) > SAID else []
        click.echo("\n".join(f"error: {line}" for line in lines[:SAID] + more), err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except OSError as error:
        click.echo(f"error: {visible(str(error))}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: whole records are kept, the same command goes on from here", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
