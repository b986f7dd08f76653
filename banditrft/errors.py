"""The one error a user can cause. The command line prints it on one line and exits with code 2."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Bad input: the message names the field or file, the constraint and the value given."""


class RecordError(InputError):
    """A record on disk that cannot be trusted: the message names the file and what is wrong with it."""


class StorageError(RecordError):
    """Records cannot be written (full disk, folder moved), which every other run would meet as well."""


class Problems:
    """Collects the errors of independent steps, so that a user sees all of them at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def attempt(self, step: Callable[..., T], *args: Any) -> T | None:
        """The step's result, or None after an error, which is kept."""
        try:
            return step(*args)
        except InputError as error:
            self.lines += str(error).splitlines()
            return None

    def settle(self) -> None:
        """Raise what was collected, each line once."""
        if self.lines:
            raise InputError("\n".join(dict.fromkeys(self.lines)))
