"""Asking before something is changed or destroyed."""

import sys

import click

from exporter.errors import ExporterError


def confirm(question: str, *, yes: bool) -> None:
    """Return if `yes` was given or a person agrees; the question goes to stderr.

    Raises ExporterError if nobody can be asked, and click.Abort if the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ExporterError(
            f"nothing was done, for this asks first ({question}) and there is no terminal; give --yes to act unasked"
        )
    click.confirm(question, abort=True, err=True)
