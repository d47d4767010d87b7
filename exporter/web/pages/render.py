"""The templates of the pages: one environment for all, also in the process that makes reports."""

from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.web.pages.static import assets

NAVIGATION: Final = (("landing", "./", "Exporter"), ("board", "board", "Board"), ("timeline", "timeline", "Timeline"))
"""Name, address and title of each page, in the order of the menu."""


@cache
def environment() -> Environment:
    """Jinja with everything that `base.html` needs but `title` and `current`, which a page sets."""
    made = Environment(
        loader=PackageLoader("exporter.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset"] = assets().url
    made.globals["navigation"] = NAVIGATION
    return made


def render(template: str, **values: object) -> str:
    """The page that `template` makes of `values`."""
    return environment().get_template(template).render(**values)
