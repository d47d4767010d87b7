"""YAML as a tree that keeps what Go's decoder looks at: whether a scalar was quoted, and which tag was written on it.

The first document is the whole file, as for Go's yaml.v2 (`Unmarshal` reads one); what follows is told, not read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from exporter.errors import UsageError

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, which Go's yaml.v2 is a translation of. PyYAML's own scanner refuses tabs that both take for spaces."""

_QUOTED: Final = re.compile(r"'(?!<)[^']{2,}'")


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text, number, truth value or nothing."""

    line: int
    """Counted from 1."""
    value: str
    tag: str | None
    """As it was written, or None."""
    plain: bool
    """Neither quoted nor a block."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map; keys may repeat."""

    line: int
    pairs: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True)
class Alias:
    """`*name`, for what stands at `&name`."""

    line: int
    target: "Scalar | Sequence | Mapping"


Node = Scalar | Sequence | Mapping | Alias


@dataclass(frozen=True, slots=True)
class Document:
    """The first document of a file."""

    root: Node | None
    """None: there is none, as in an empty file."""
    more: bool
    """Something follows it."""


def read_document(path: Path, content: bytes) -> Document:
    """The first document of `content`. Raises UsageError with the line of what is no YAML.

    The message quotes nothing of the file: what stands in it may be a secret.
    """
    try:
        return _Builder(path, yaml.parse(content, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = _QUOTED.sub("'…'", error.problem or error.context or "it cannot be read")
        raise UsageError(f"{where}: this is not YAML: {said}") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise UsageError(
            f"{path}: this is not YAML: it holds a character that YAML does not allow; save it as UTF-8 text"
        ) from error
    except RecursionError as error:
        raise UsageError(f"{path}: this is nested too deeply to be read as YAML") from error


class _Builder:
    def __init__(self, path: Path, events: Iterator[Event]) -> None:
        self._path = path
        self._events = events
        self._anchors: dict[str, Scalar | Sequence | Mapping] = {}

    def document(self) -> Document:
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                root = self._node(next(self._events))
                return Document(root, self._more())
        return Document(None, more=False)

    def _more(self) -> bool:
        try:
            next(self._events)  # the end of the first document
            return isinstance(next(self._events), DocumentStartEvent)
        except yaml.YAMLError:
            return True

    def _node(self, event: Event) -> Node:
        if isinstance(event, AliasEvent):
            found = self._anchors.get(event.anchor or "")
            if found is None:
                raise UsageError(
                    f"{self._path}, line {_line(event)}: an alias stands here, but not the anchor that it "
                    "means; put quotes around a text that begins with '*'"
                )
            return Alias(_line(event), found)
        node = self._made(event)
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = node
        return node

    def _made(self, event: Event) -> Scalar | Sequence | Mapping:
        line = _line(event)
        if isinstance(event, ScalarEvent):
            return Scalar(line, event.value, event.tag, bool(event.implicit[0]))
        if isinstance(event, SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(self._events), SequenceEndEvent):
                items.append(self._node(inner))
            return Sequence(line, tuple(items))
        assert isinstance(event, MappingStartEvent)
        pairs: list[tuple[Node, Node]] = []
        while not isinstance(inner := next(self._events), MappingEndEvent):
            pairs.append((self._node(inner), self._node(next(self._events))))
        return Mapping(line, tuple(pairs))


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
