"""The one error a user can cause. The command line prints it on one line and exits with code 2."""


class InputError(ValueError):
    """Bad input: the message names the field or file, the constraint and the value given."""


class RecordError(InputError):
    """A record on disk that cannot be trusted: the message names the file and what is wrong with it."""
