"""What was given for each setting and where: flag before environment before file before default."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from exporter.cli import parse
from exporter.cli.settings_table import CONFIG_FILE, SETTINGS, Setting, Shape
from exporter.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Given:
    """The texts that were given for a setting, and where, as a message says it."""

    texts: tuple[str, ...]
    where: str
    rank: int
    """3: flag, 2: environment, 1: file, 0: default."""


class Values:
    """Reads settings by name. Every mistake is a UsageError that begins with the place where the text stands."""

    def __init__(
        self, given: Mapping[str, Given], environment: Mapping[str, str], flags: Mapping[str, tuple[str, ...]]
    ) -> None:
        """`flags`: those of `given` that stood on the command line, with --config.file."""
        self._given = given
        self._environment = environment
        self._flags = flags

    def anew(self) -> "Values":
        """The same flags and environment with the file as it is now. Raises UsageError as `gather` does."""
        return gather(self._flags, self._environment)

    def given(self, name: str) -> Given | None:
        """What was given; None if nobody said anything and there is no default."""
        found = self._given.get(name)
        if found is not None:
            return found
        default = SETTINGS[name].default
        return Given((default,), f"the default of --{name}", 0) if default is not None else None

    def where(self, name: str) -> str:
        """Where the value stands, for a message."""
        found = self.given(name)
        return found.where if found else f"--{name}"

    def optional(self, name: str, parser: Callable[[str], T]) -> T | None:
        """The value, or None if there is none."""
        found = self.given(name)
        return self._parsed(found, parser)[0] if found else None

    def one(self, name: str, parser: Callable[[str], T]) -> T:
        """The value of a setting that has a default."""
        found = self.given(name)
        if found is None:
            raise UsageError(f"--{name} is missing")
        return self._parsed(found, parser)[0]

    def many(self, name: str, parser: Callable[[str], T], *, names_flag: bool = False) -> tuple[T, ...]:
        """All values of a setting that may be repeated. `names_flag`: the parser's messages name the flag already."""
        found = self.given(name)
        return self._parsed(found, parser, names_flag=names_flag) if found else ()

    def variable(self, name: str) -> str | None:
        """An environment variable; None also if it is empty, as a compose file leaves it."""
        return self._environment.get(name) or None

    def _parsed(self, given: Given, parser: Callable[[str], T], *, names_flag: bool = False) -> tuple[T, ...]:
        try:
            return tuple(parser(text) for text in given.texts)
        except UsageError as error:
            if names_flag and given.rank not in (1, 2):
                raise
            raise UsageError(f"{given.where}: {error}") from error


def gather(flags: Mapping[str, tuple[str, ...]], environment: Mapping[str, str] | None = None) -> Values:
    """Bring the three sources together. `flags` holds what stood on the command line, by the setting's name.

    `environment` is the process's own if not given. Raises UsageError for a configuration file that is wrong.
    """
    env = os.environ if environment is None else environment
    given: dict[str, Given] = {}
    file = _config_file(flags, env)
    if file is not None:
        from exporter.cli.config_file import read_config_file  # loads YAML, which most commands can do without

        given.update((name, Given(texts, where, 1)) for name, (texts, where) in read_config_file(file).items())
    for setting in SETTINGS.values():
        value = env.get(setting.variable)
        if value:
            given[setting.name] = Given(_from_variable(setting, value), f"{setting.variable} ({setting.flag})", 2)
    given.update((name, Given(texts, f"--{name}", 3)) for name, texts in flags.items() if name != CONFIG_FILE.name)
    return Values(given, env, flags)


def _config_file(flags: Mapping[str, tuple[str, ...]], env: Mapping[str, str]) -> Path | None:
    texts = flags.get(CONFIG_FILE.name)
    text = texts[0] if texts else env.get(CONFIG_FILE.variable)
    return parse.path(text) if text else None


def _from_variable(setting: Setting, value: str) -> tuple[str, ...]:
    if setting.shape is Shape.REPEATED:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,)
