"""Markdown as the tests of the documentation read it: fences, generated regions, headings, links and inline code."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_FENCE: Final = re.compile(r"(?ms)^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$")
_REGION: Final = re.compile(r"(?s)(<!-- generated: (?P<name>[a-z -]+) -->\n).*?(<!-- end -->)")
_LINK: Final = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING: Final = re.compile(r"(?m)^#{1,6} (?P<text>.+)$")
_CODE: Final = re.compile(r"`([^`\n]+)`")
_COMMENT: Final = re.compile(r"(?s)<!--.*?-->")


def documents() -> tuple[Path, ...]:
    """README and everything in docs/, and the other pages that they lead to."""
    return (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "grafana" / "README.md")


def read(path: Path) -> str:
    """The text of a page."""
    return path.read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: what stands behind the opening marks, and its lines with their ends."""

    info: str
    body: str


def fences(text: str, info: str | None = None) -> tuple[Fence, ...]:
    """The blocks of code in a page, all or those whose opening marks say `info`."""
    found = (Fence(match["info"].strip(), match["body"]) for match in _FENCE.finditer(text))
    return tuple(fence for fence in found if info is None or fence.info == info)


def with_fences(text: str, info: str, rewrite: Callable[[str], str]) -> str:
    """The page with the bodies of its `info` blocks rewritten."""

    def replaced(match: re.Match[str]) -> str:
        if match["info"].strip() != info:
            return match[0]
        return f"```{match['info']}\n{rewrite(match['body'])}```"

    return _FENCE.sub(replaced, text)


def region_names(text: str) -> tuple[str, ...]:
    """The generated regions of a page: what stands between `<!-- generated: NAME -->` and `<!-- end -->`."""
    return tuple(match["name"] for match in _REGION.finditer(text))


def with_regions(text: str, generators: Mapping[str, Callable[[], str]]) -> str:
    """The page with its generated regions made anew."""
    return _REGION.sub(lambda match: f"{match[1]}{generators[match['name']]()}{match[3]}", text)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or a higher one."""
    opening = re.search(rf"(?m)^(?P<level>#+) {re.escape(heading)}$", text)
    assert opening is not None, f"there is no heading '{heading}'"
    rest = text[opening.end() :]
    closing = re.search(rf"(?m)^#{{1,{len(opening['level'])}}} ", _without_fences(rest))
    return rest[: closing.start()] if closing else rest


def anchors(text: str) -> frozenset[str]:
    """What links can point at in a page: its headings as GitHub turns them into anchors."""
    return frozenset(_anchor(match["text"]) for match in _HEADING.finditer(_without_fences(text)))


def _anchor(heading: str) -> str:
    plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return plain.strip().replace(" ", "-")


def links(text: str) -> Iterator[str]:
    """The targets of all links and pictures."""
    for match in _LINK.finditer(_without_fences(text)):
        yield match["target"]


def inline_code(text: str) -> Iterator[str]:
    """What stands between single backticks, outside blocks of code."""
    yield from _CODE.findall(_without_fences(text))


def prose(text: str) -> str:
    """The page without blocks of code, comments and inline code."""
    return _CODE.sub("", _COMMENT.sub("", _without_fences(text)))


def _without_fences(text: str) -> str:
    """Blanked, not removed: places in the text stay what they are."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def commands(body: str) -> Iterator[str]:
    """The commands of a shell block, continuation lines joined, comments left out."""
    joined = re.sub(r"\\\n\s*", "", body)
    for line in joined.splitlines():
        stripped = line.partition(" # ")[0].strip()
        if stripped and not stripped.startswith("#"):
            yield stripped


def table(headings: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table; the cells are Markdown already, but for bars and line ends."""
    lines = [" | ".join(headings), " | ".join("---" for _ in headings)]
    lines += [" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)
