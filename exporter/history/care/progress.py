"""Progress that nobody looks at: what long work tells if it is not told otherwise."""

from typing import Final

from exporter.history.transfer.progress import Progress, SilentProgress

UNSEEN: Final[Progress] = SilentProgress()
