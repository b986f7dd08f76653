"""Progress on stderr: a live table of jobs (plain lines where stderr is no terminal), a spinner, a bar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    track,
)


class Board:
    """Context manager; `advance` a job by its label, then `finish` it."""

    def __init__(self, title: str, total: int) -> None:
        self._console = Console(stderr=True)
        self._live = sys.stderr.isatty() and total > 0
        self._total, self._finished = total, 0
        self._tasks: dict[str, TaskID] = {}
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not self._live)
        self._overall = self._progress.add_task(title, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, label: str, done: float) -> None:
        """Show that a job is done to the fraction `done`, in [0, 1]."""
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(f"  {escape(label)}", total=100)
        self._progress.update(self._tasks[label], completed=round(100 * done))

    def finish(self, label: str, *, failed: bool) -> None:
        """Take a job off the table."""
        self._finished += 1
        if label in self._tasks:
            self._progress.remove_task(self._tasks.pop(label))
        self._progress.advance(self._overall)
        if failed or not self._live:
            mark = "[red]failed[/]" if failed else "done"
            self._console.print(f"[{self._finished}/{self._total}] {mark} {escape(label)}", highlight=False)


T = TypeVar("T")


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner while the block runs."""
    with Console(stderr=True).status(what):
        yield


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a bar of how many are done that is gone at the end."""
    yield from track(
        items,
        what,
        console=(console := Console(stderr=True)),
        transient=True,
        disable=not console.is_terminal,
    )
