"""YAML read as text with places: no value is guessed, so an id keeps its leading zeros and all its digits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from exporter.errors import UsageError

_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file, for messages."""

    path: Path
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}, column {self.column}"


def read_yaml(path: Path, text: str) -> yaml.Node | None:
    """The tree of the one document in `text`; None if it is empty. Nothing is constructed, so no tag can do anything.

    Raises UsageError with the place of the first mistake.
    """
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise UsageError(f"{where}: this is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: this is not YAML: it holds a character that YAML does not allow") from error
    except RecursionError as error:
        raise UsageError(f"{path}: this is nested too deeply to be read as YAML") from error


def place(path: Path, node: yaml.Node) -> Place:
    """Where `node` begins, counted from 1."""
    return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)


def is_null(node: yaml.Node) -> bool:
    """Nothing is written there, or `null` or `~`."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def scalar_text(node: yaml.Node) -> str | None:
    """The characters of a scalar as they stand in the file, whatever YAML takes them for; None for a list or a map."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def entries(path: Path, node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """Key, key node and value node of a map, in the order of the file.

    Raises UsageError for a key that is no text or that the same map had before.
    """
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = scalar_text(key_node)
        if key is None:
            raise UsageError(f"{place(path, key_node)}: a key must be a word, not a list or a map")
        if key in seen:
            raise UsageError(f"{place(path, key_node)}: the key '{key}' stands here again; it was on line {seen[key]}")
        seen[key] = key_node.start_mark.line + 1
        yield key, key_node, value_node
