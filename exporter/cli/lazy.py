"""Groups whose commands are imported when they are run, so that `--help` costs no more than click itself."""

from collections.abc import Mapping
from importlib import import_module

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
"""Settings of every command: `-h` works, and wide terminals are used."""


class LazyGroup(click.Group):
    """A group that knows of each command only where it lives (`module:name`) and its line of help."""

    def __init__(self, name: str, help: str, table: Mapping[str, tuple[str, str]]) -> None:  # noqa: A002 - click's word
        super().__init__(name=name, help=help, context_settings=CONTEXT)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table, which goes from the commonest to the rarest."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None if there is none of this name."""
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry[0]} is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but a mistyped name is answered with the nearest one."""
        if args[0] not in self._table and not args[0].startswith("-"):
            from difflib import get_close_matches  # costs time that only this mistake pays

            near = get_close_matches(args[0], self._table, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(self._table)}."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._table.items()])
