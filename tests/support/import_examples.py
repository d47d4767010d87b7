"""Runs the examples of export and import in the documentation, on the sample history and the files shown there."""

import re
import shlex
import tempfile
from contextlib import chdir
from pathlib import Path
from typing import Final

from tests.support.cli import run
from tests.support.documents import commands, fences, section
from tests.support.sample_history import write_sample_history

HEADING: Final = "Export and import"
_COMMAND: Final = re.compile(r"(?s)```sh\n(?P<commands>(?:(?!```).)*)```\n\n```text\n(?P<said>.*?)```")


def made_anew(page: str) -> str:
    """The page with what the commands of the section say now, each command run after those before it."""
    if f"## {HEADING}\n" not in page:
        return page
    old = section(page, HEADING)
    log, polls, _ = _files(old)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_sample_history(Path(folder))
        Path("gap.csv").write_text(log, encoding="utf-8")
        Path("polls.ndjson").write_text(polls, encoding="utf-8")
        return page.replace(old, _COMMAND.sub(_with_answer, old))


def exported_and_shown(page: str) -> tuple[list[str], list[str]]:
    """The lines of an export of the sample history, and those of the page."""
    _, _, shown = _files(section(page, HEADING))
    with tempfile.TemporaryDirectory() as folder:
        done = run("history", "export", "--db", str(write_sample_history(Path(folder))))
    return done.out.splitlines(), shown.splitlines()


def _files(text: str) -> tuple[str, str, str]:
    (log,) = fences(text, "csv")
    export, polls = fences(text, "ndjson")
    return log.body, polls.body, export.body


def _with_answer(match: re.Match[str]) -> str:
    said = ""
    for command in commands(match["commands"]):
        done = run(*shlex.split(command)[1:])
        assert done.code == 0, f"{command}: {done.err}"
        said += done.out + done.err
    return f"```sh\n{match['commands']}```\n\n```text\n{said}```"
