"""`banditrft ...` in this process: what it prints and its exit code, without the seconds that a process takes to start.

The command as a process of its own: `tests/e2e/test_cli.py`, at the interruption and the first run.
"""

import io
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from banditrft.cli import main


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stdout: str
    stderr: str


def banditrft(*args: object, cwd: Path, code: int = 0) -> Done:
    """Run a command in a folder; its exit code must be `code`."""
    out, err, ended = io.StringIO(), io.StringIO(), 0
    typed = ["banditrft", *map(str, args)]
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", typed):
        try:
            main()
        except SystemExit as end:
            ended = int(end.code or 0)
    assert ended == code, err.getvalue()
    return Done(ended, out.getvalue(), err.getvalue())
