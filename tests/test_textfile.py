"""What stands in the place of a file that a person writes: nothing is waited for, and nothing read without end."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.agents_file import load_agents_file
from exporter.cli.build import read_secret_file
from exporter.cli.config_file import read_config_file
from exporter.errors import UsageError
from exporter.textfile import LARGEST, content
from exporter.zoho.oauth import TokenFile

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "agents": ("--agents.file: cannot read the file {}: ", load_agents_file),
    "configuration": ("--config.file: cannot read the file {}: ", read_config_file),
    "secret": (
        "--auth.refresh-token-file: cannot read the file {}: ",
        lambda path: read_secret_file("--auth.refresh-token-file", path),
    ),
}


def said_at_once(read: Callable[[], object]) -> str:
    """The sentence of the refusal. On a thread, so that what waits for ever fails the test and does not hold it up."""
    said: list[str] = []

    def reading() -> None:
        try:
            read()
        except UsageError as error:
            said.append(str(error))

    thread = threading.Thread(target=reading, daemon=True)
    thread.start()
    thread.join(5)
    assert len(said) == 1
    return said[0]


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_refused_and_not_waited_for(reader: str, tmp_path: Path) -> None:
    sentence, read = READERS[reader]
    path = tmp_path / "file.csv"
    os.mkfifo(path)
    said = said_at_once(lambda: read(path))
    assert said == sentence.format(path) + "it is a pipe, and must be a file that can be read again"


@pytest.mark.parametrize("reader", READERS)
def test_a_file_without_end_is_refused(reader: str, tmp_path: Path) -> None:
    sentence, read = READERS[reader]
    path = tmp_path / "file.csv"
    path.symlink_to("/dev/zero")
    assert said_at_once(lambda: read(path)) == sentence.format(path) + "it is larger than 16 MiB"


def test_a_terminal_is_refused_and_not_taken_for_an_empty_file() -> None:
    leader, terminal = os.openpty()
    try:
        with pytest.raises(BlockingIOError, match="waits for input"):
            content(Path(os.ttyname(terminal)), LARGEST)
    finally:
        os.close(leader)
        os.close(terminal)


def test_a_file_may_be_as_large_as_said_and_no_larger(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    assert content(path, 1000) == b"x" * 1000
    with pytest.raises(OSError, match="larger"):
        content(path, 999)


def test_a_pipe_in_the_place_of_the_access_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    os.mkfifo(path)
    assert said_at_once(lambda: TokenFile(path)) == f"--auth.access-token-file '{path}' cannot be read as text"
