"""The command line as a tree, to be documented and compared with its documentation."""

from collections.abc import Iterator
from dataclasses import dataclass

import click

from exporter.cli.main import PROGRAM, cli
from exporter.cli.settings_table import CONFIG_FILE, SETTINGS, Setting

_ALL_SETTINGS = (*SETTINGS.values(), CONFIG_FILE)


@dataclass(frozen=True, slots=True)
class Documented:
    """A command: the words that call it, and click's own description."""

    words: tuple[str, ...]
    command: click.Command

    @property
    def is_group(self) -> bool:
        """Whether other commands stand under it."""
        return isinstance(self.command, click.Group)

    @property
    def usage(self) -> str:
        """The line that its help begins with."""
        # With the command's own settings: the first context decides for good what its help option is called.
        context = click.Context(self.command, **self.command.context_settings)
        return " ".join((PROGRAM, *self.words, *self.command.collect_usage_pieces(context)))

    @property
    def help(self) -> str:
        """Its description, one paragraph a line."""
        paragraphs = (self.command.help or "").split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The settings that it takes."""
        names = {parameter.name for parameter in self.command.params}
        return tuple(setting for setting in _ALL_SETTINGS if setting.parameter in names)

    @property
    def options(self) -> tuple[click.Option, ...]:
        """The options that are its own, and not settings."""
        settings = {setting.parameter for setting in self.settings}
        return tuple(
            parameter
            for parameter in self.command.params
            if isinstance(parameter, click.Option) and parameter.name not in settings
        )

    @property
    def flags(self) -> frozenset[str]:
        """Every flag that it takes, `--no-…` and `--help` among them."""
        taken = (
            flag
            for parameter in self.command.params
            if isinstance(parameter, click.Option)
            for flag in (*parameter.opts, *parameter.secondary_opts)
        )
        return frozenset({*taken, "--help", "-h"})


def every_command() -> Iterator[Documented]:
    """The program itself, then each command before those under it, in the order of the help."""
    yield from _under((), cli)


def _under(words: tuple[str, ...], command: click.Command) -> Iterator[Documented]:
    yield Documented(words, command)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _under((*words, name), found)


def called(arguments: list[str]) -> tuple[Documented, list[str]]:
    """The command that a command line calls, and the flags that it gives (without their values)."""
    commands = {documented.words: documented for documented in every_command()}
    words: tuple[str, ...] = ()
    for argument in arguments:
        if (*words, argument) not in commands:
            break
        words = (*words, argument)
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("-") and argument != "-"]
    return commands[words], flags
