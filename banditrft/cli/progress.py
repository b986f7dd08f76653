"""Signs of life on a terminal's standard error; nothing where it is not one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner while the block runs."""
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


def tracked(items: Sequence[T], what: str) -> Iterator[T]:
    """The items, with a bar of how many are done that is gone at the end."""
    from rich.console import Console
    from rich.progress import track

    yield from track(
        items,
        what,
        console=(console := Console(stderr=True)),
        transient=True,
        disable=not console.is_terminal,
    )
