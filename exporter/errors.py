"""The errors that end a command: one clear sentence each, and the exit code that goes with it."""


class ExporterError(Exception):
    """Something failed for a reason that a person can act on.

    The message is one sentence that says what was being done, to what, and what to do next.
    It never holds a secret. The command line prints it without a traceback.
    """

    exit_code = 1


class UsageError(ExporterError):
    """What was asked for makes no sense: a wrong flag, key, line or column, which the message names."""

    exit_code = 2


class DatabaseError(ExporterError):
    """The history database cannot be used: missing, no database, too new, locked, not writable, damaged."""

    exit_code = 3
