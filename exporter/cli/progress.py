"""How far long work is, as a bar on the terminal that stderr is; nothing where it is none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.history.transfer.progress import Progress, SilentProgress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Whom long work tells how far it is, until the block ends."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield SilentProgress()
        return
    from rich.console import Console  # only a terminal pays for it
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(file=stream), transient=True) as bars:
        yield _OneBar(bars)


class _OneBar:
    """Each step takes the place of the one before it."""

    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        """A step of the work begins."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(what, total=total)

    def advance(self, amount: int) -> None:
        """So much more of it is done."""
        if self._task is not None:
            self._bars.advance(self._task, amount)
