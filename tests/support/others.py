"""For tests that look at files as another user."""

import stat
from pathlib import Path


def open_to_others(folder: Path) -> None:
    """Let everybody into a folder, and on the way to it: pytest makes several folders, each for its own user only."""
    for place in (folder, *folder.parents):
        mode = stat.S_IMODE(place.stat().st_mode)
        if mode & 0o005 != 0o005:
            place.chmod(mode | 0o055)
