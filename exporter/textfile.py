"""Reading the small text files that a person writes, with one sentence for each way that it can fail."""

from pathlib import Path

from exporter.errors import UsageError


def read_text(path: Path, what: str) -> str:
    """The text of `path` without a byte order mark; `what` says in messages whose file it is ("--agents.file").

    Raises UsageError if it cannot be read or is not UTF-8 (then with the line).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"{what}: cannot read the file {path}: {reason}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: this is not UTF-8 text: save the file as UTF-8") from error
