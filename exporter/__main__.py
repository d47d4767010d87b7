"""Where the program starts: runs the command line and turns its errors into one sentence and an exit code."""

import errno
import os
import sys

import click

from exporter.cli.main import PROGRAM, cli
from exporter.errors import ExporterError

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended: 128 + SIGINT."""


def main() -> int:
    """Run the command line of this process.

    Exit codes: 0 done, 1 failed or done in part, 2 wrong usage, 3 the database is not usable, 130 interrupted.
    """
    _open_missing_streams()
    try:
        code = _run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (`| head`) has gone. Without this the interpreter's last flush would complain.
        _silence_stdout()
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _silence_stdout()
        click.echo(f"{PROGRAM}: the answer could not be written whole: {error.strerror}; make room", err=True)
        return 1


def _silence_stdout() -> None:
    """What is still to be written to standard output goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_missing_streams() -> None:
    """Put the null device where a stream was closed (`>&-`): else the next file to be opened, the database perhaps,
    would become standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - as long as the process


def _run() -> int:
    try:
        result = cli.main(prog_name=PROGRAM, standalone_mode=False)
    except ExporterError as error:
        from exporter.model import storable  # what --help need not pay for

        click.echo(f"{PROGRAM}: {storable(str(error))}", err=True)
        return error.exit_code
    except click.Abort as abort:
        # Ctrl-C comes as KeyboardInterrupt inside the Abort; the end of input at a question does not.
        if isinstance(abort.__cause__ or abort.__context__, KeyboardInterrupt):
            return INTERRUPTED
        click.echo(f"{PROGRAM}: nothing was done", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())
