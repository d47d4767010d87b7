"""The process that makes reports: `python -m exporter.web.reports SECONDS BYTES IDLE_SECONDS`.

It reads requests from its standard input and ends when that does: with the process that started it, whatever that one
dies of. A report that takes longer than the seconds given ends it too, so that nobody need be left to do that.
"""

import contextlib
import logging
import os
import resource
import select
import signal
import sys
from typing import IO, Final

from exporter import descriptors
from exporter.history.window import machine_zone
from exporter.web.reports import frames
from exporter.web.reports.request import ReportReply, refused
from exporter.web.reports.worker import TOO_LARGE, answered

_NICER: Final = 5


def main(arguments: list[str]) -> int:
    """Answer until the input ends or nothing was asked for long."""
    time_limit_s, memory_bytes, idle_s = float(arguments[0]), int(arguments[1]), float(arguments[2])
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    os.nice(_NICER)
    descriptors.allow_usual()
    _limit_memory(memory_bytes)
    # Nothing but answers may go to where answers are read from.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    zone = machine_zone(os.environ.get("TZ"))
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    while _comes_within(requests, idle_s):
        try:
            task = frames.task_of(frames.read(requests))
        except frames.Ended:
            return 0
        signal.setitimer(signal.ITIMER_REAL, time_limit_s)
        try:
            reply = answered(task, zone)
        except MemoryError:
            reply = None
        if reply is None:
            # What was being made is gone by now. Memory is in pieces, so the next report gets a new process.
            _send(answers, refused(task.request.form, 422, TOO_LARGE))
            return 0
        if not _send(answers, reply):
            return 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        del task, reply
    return 0


def _limit_memory(bytes_: int) -> None:
    """A report that needs more fails alone, with MemoryError, before the machine runs short."""
    with contextlib.suppress(ValueError, OSError):  # where there are no such limits, or a lower one is in force
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def _comes_within(requests: IO[bytes], seconds: float) -> bool:
    readable, _, _ = select.select([requests], [], [], seconds)
    return bool(readable)


def _send(answers: IO[bytes], reply: ReportReply) -> bool:
    """Whether somebody was there to read it."""
    try:
        frames.write(answers, *frames.reply_frames(reply))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
