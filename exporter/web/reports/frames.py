"""How the two processes talk over pipes: frames of a length (4 bytes, big-endian) and that many bytes.

A request is one frame of JSON. An answer is two: a head in JSON, and the body as it is.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from exporter.history.classes import Classes
from exporter.web.reports.request import ReportReply, ReportRequest

_LENGTH: Final = struct.Struct(">L")
_LARGEST: Final = 256 * 1024 * 1024
"""More than any answer has; a length beyond it is no length."""


class Ended(EOFError):
    """The other side is gone, or says what it should not."""


@dataclass(frozen=True, slots=True)
class Task:
    """A request with all that the answer depends on."""

    request: ReportRequest
    db: Path
    classes: Classes
    version: str
    now_ms: int


def write(stream: IO[bytes], *frames: bytes) -> None:
    """Send the frames. Raises OSError if the other side is gone."""
    for frame in frames:
        stream.write(_LENGTH.pack(len(frame)))
        stream.write(frame)
    stream.flush()


def read(stream: IO[bytes]) -> bytes:
    """The next frame. Raises Ended."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _LARGEST:
        raise Ended(f"a frame of {length} bytes is announced")
    return _exactly(stream, length)


def task_frame(task: Task) -> bytes:
    """The frame of a request."""
    request, classes = task.request, task.classes
    return _json(
        {
            "name": request.name,
            "form": request.form,
            "asked": {name: list(values) for name, values in request.asked.items()},
            "gzip": request.gzip,
            "db": str(task.db),
            "classes": [
                sorted(words) for words in (classes.handling, classes.available, classes.not_ready, classes.offline)
            ],
            "version": task.version,
            "now_ms": task.now_ms,
        }
    )


def task_of(frame: bytes) -> Task:
    """What `task_frame` has made."""
    fields = json.loads(frame)
    asked = {name: tuple(values) for name, values in fields["asked"].items()}
    return Task(
        ReportRequest(fields["name"], fields["form"], asked, fields["gzip"]),
        Path(fields["db"]),
        Classes(*map(frozenset, fields["classes"])),
        fields["version"],
        fields["now_ms"],
    )


def reply_frames(reply: ReportReply) -> tuple[bytes, bytes]:
    """The frames of an answer."""
    head = {"status": reply.status, "content_type": reply.content_type, "headers": reply.headers}
    return _json(head), reply.body


def reply_of(head: bytes, body: bytes) -> ReportReply:
    """What `reply_frames` has made."""
    fields = json.loads(head)
    headers = tuple((name, value) for name, value in fields["headers"])
    return ReportReply(fields["status"], fields["content_type"], body, headers)


def _json(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode("ascii")


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    while len(data) < length:  # a pipe that is not buffered gives what it has
        some = stream.read(length - len(data))
        if not some:
            raise Ended("the stream ended")
        data += some
    return data
