"""Gives a command the settings that it takes as options, and hands it what was given as one value."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from exporter.cli.settings_table import CONFIG_FILE, Setting, Shape, chosen
from exporter.cli.values import gather

P = ParamSpec("P")
R = TypeVar("R")


def settings_options(*patterns: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """A decorator that adds an option for each setting that a glob names (`"api.*"`, `"db"`), and `--config.file`.

    The command gets them all as its argument `values`. Click neither reads the environment nor converts: the
    settings do both, so that a message can tell flag, variable and line of the file apart.
    """
    settings = (*chosen(*patterns), CONFIG_FILE)

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def call(**arguments: object) -> R:
            flags = {}
            for setting in settings:
                texts = _texts(arguments.pop(setting.parameter))
                if texts:
                    flags[setting.name] = texts
            return function(values=gather(flags), **arguments)

        decorated: Callable[..., R] = call
        for setting in reversed(settings):
            decorated = _option(setting)(decorated)
        return decorated

    return decorate


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def _option(setting: Setting) -> Callable[[Callable[..., R]], Callable[..., R]]:
    if setting.shape is Shape.SWITCH:
        names = f"{setting.flag}/--no-{setting.name}"
        return click.option(names, setting.parameter, default=None, help=help_text(setting))
    return click.option(
        setting.flag,
        setting.parameter,
        metavar=setting.metavar,
        multiple=setting.shape is Shape.REPEATED,
        help=help_text(setting),
    )


def help_text(setting: Setting) -> str:
    """The sentences of the table, with default and variable."""
    default = ""
    if setting.default is not None:
        on_off = {"true": "on", "false": "off"}
        default = f" Default: {on_off.get(setting.default, setting.default)}."
    return f"{setting.help}{default} [{setting.variable}]"


def yes_option(function: Callable[P, R]) -> Callable[P, R]:
    """`--yes`, for commands that ask before they act."""
    return click.option("--yes", is_flag=True, help="Act without asking.")(function)
