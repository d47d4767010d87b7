"""Asking before something is changed or destroyed."""

import sys
from typing import TextIO

import click

from exporter.errors import ExporterError


def is_person_there() -> bool:
    """Whether standard input is a terminal. It may also be closed, as under some service managers: then it is None."""
    stdin: TextIO | None = sys.stdin
    return stdin is not None and stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Return if `yes` was given or a person agrees; the question goes to stderr.

    Raises ExporterError if nobody can be asked, and click.Abort if the answer is no.
    """
    if yes:
        return
    if not is_person_there():
        raise ExporterError(
            f"nothing was done, for this asks first ({question}) and there is no terminal; give --yes to act unasked"
        )
    click.confirm(question, abort=True, err=True)
