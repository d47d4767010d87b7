"""From the tree to the values of known keys, with Go's verdict: yaml.v2's `UnmarshalStrict` into upstream's `Config`.

Unknown and repeated keys are refused, merge keys (`<<`) are followed, and nothing (`null`) is the zero value of its
type, also where the default is another: `http2:` without a value switches HTTP/2 off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Final

from exporter.errors import UsageError
from exporter.quoting import shown
from exporter.web.config import scalars, tree
from exporter.web.config.ciphers import CIPHERS, CURVES, TLS13_CIPHERS, VERSIONS
from exporter.web.config.quoting import value_shown

Value = str | bool | int | tuple[str, ...] | dict[str, str] | None


class Kind(Enum):
    """What a key holds, in the words of a message."""

    TEXT = "a text"
    SECRET = "a text that is kept secret"
    FLAG = "true or false"
    NUMBER = "a whole number"
    DURATION = "a duration such as 1s, 500ms or 1m30s"
    VERSION = "a TLS version (TLS10, TLS11, TLS12 or TLS13)"
    TEXTS = "a list of texts"
    CIPHERS = "a list of cipher suites"
    CURVES = "a list of curves"
    TEXT_MAP = "a map of texts"
    SECRET_MAP = "a map of user names to bcrypt hashes"


TLS: Final = "tls_server_config"
HTTP: Final = "http_server_config"
RATE: Final = "rate_limit"
USERS: Final = "basic_auth_users"

TLS_KEYS: Final[Mapping[str, Kind]] = {
    "cert": Kind.TEXT,
    "key": Kind.SECRET,
    "client_ca": Kind.TEXT,
    "cert_file": Kind.TEXT,
    "key_file": Kind.TEXT,
    "client_auth_type": Kind.TEXT,
    "client_ca_file": Kind.TEXT,
    "client_allowed_sans": Kind.TEXTS,
    "min_version": Kind.VERSION,
    "max_version": Kind.VERSION,
    "cipher_suites": Kind.CIPHERS,
    "prefer_server_cipher_suites": Kind.FLAG,
    "curve_preferences": Kind.CURVES,
}

KEYS: Final[Mapping[str, Mapping[str, Kind] | Kind]] = {
    TLS: TLS_KEYS,
    HTTP: {"http2": Kind.FLAG, "headers": Kind.TEXT_MAP},
    USERS: Kind.SECRET_MAP,
    RATE: {"interval": Kind.DURATION, "burst": Kind.NUMBER},
}
"""Every key there is."""

_ENUMERATIONS: Final[Mapping[Kind, tuple[str, tuple[str, ...]]]] = {
    Kind.VERSION: ("TLS version", tuple(VERSIONS)),
    Kind.CIPHERS: ("cipher suite", (*CIPHERS, *TLS13_CIPHERS)),
    Kind.CURVES: ("curve", tuple(CURVES)),
}
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_MOST: Final = 100_000
"""Nodes that are decoded: aliases of aliases multiply."""


@dataclass(slots=True)
class Decoded:
    """The values of a file by dotted key (`rate_limit.burst`), and the line of each, counted from 1.

    A key that is not there was not given; None stands for the zero value that `null` gives.
    """

    path: Path
    values: dict[str, Value] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def where(self, key: str) -> str:
        """The place of `key`, or of the section that it is missing in, for a message."""
        line = self.lines.get(key) or self.lines.get(key.partition(".")[0])
        return f"{self.path}, line {line} ({key})" if line else f"{self.path} ({key})"

    def text(self, key: str) -> str:
        """The value of a text; empty if not given."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def flag(self, key: str, default: bool) -> bool:
        """The value of a flag; `default` if not given, false for nothing."""
        return bool(self.values[key]) if key in self.values else default

    def number(self, key: str) -> int:
        """The value of a number or a duration (nanoseconds); 0 if not given."""
        value = self.values.get(key)
        return value if isinstance(value, int) else 0

    def texts(self, key: str) -> tuple[str, ...] | None:
        """The value of a list; None if not given or null."""
        value = self.values.get(key)
        return value if isinstance(value, tuple) else None

    def map(self, key: str) -> dict[str, str]:
        """The value of a map; empty if not given."""
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}


def decode(path: Path, root: tree.Node | None) -> Decoded:
    """The values that the file gives. Raises UsageError with line, key and value of the first that upstream refuses."""
    decoder = _Decoder(path)
    if root is not None:
        decoder.section("", KEYS, root)
    return decoder.found


class _Decoder:
    def __init__(self, path: Path) -> None:
        self.found = Decoded(path)
        self._left = _MOST

    def section(self, name: str, keys: Mapping[str, Mapping[str, Kind] | Kind], node: tree.Node) -> None:
        """A struct of Go's. `name` is empty for the whole file."""
        node = self._target(node)
        if isinstance(node, tree.Scalar):
            if not self._is_null(name, node, "a map", secret=True):
                raise self._no_section(name, keys, node)
            self._zero(name, keys)
        elif isinstance(node, tree.Sequence):
            raise self._no_section(name, keys, node)
        else:
            self._pairs(name, keys, node)

    def _pairs(self, name: str, keys: Mapping[str, Mapping[str, Kind] | Kind], node: tree.Mapping) -> None:
        seen: dict[str, int] = {}
        for key_node, value_node in node.pairs:
            if _is_merge(key_node):
                self._merge(name, value_node, lambda inner: self.section(name, keys, inner))
                continue
            key = self._key(name, key_node)
            if key not in keys:
                raise self._unknown(name, keys, key, key_node.line)
            if key in seen:
                raise self._again(key_node.line, key, seen[key])
            seen[key] = key_node.line
            self._field(f"{name}.{key}" if name else key, keys[key], key_node.line, value_node)

    def _field(self, name: str, kind: Mapping[str, Kind] | Kind, line: int, node: tree.Node) -> None:
        self.found.lines[name] = line
        if isinstance(kind, Mapping):
            self.section(name, kind, node)
        elif kind in (Kind.TEXT_MAP, Kind.SECRET_MAP):
            self._map(name, kind, node)
        elif kind in (Kind.TEXTS, Kind.CIPHERS, Kind.CURVES):
            self.found.values[name] = self._list(name, kind, node)
        else:
            self.found.values[name] = self._one(name, kind, node)

    def _zero(self, name: str, keys: Mapping[str, Mapping[str, Kind] | Kind]) -> None:
        """`name: null`, which makes a false flag of one that is true by default."""
        for key, kind in keys.items():
            full = f"{name}.{key}" if name else key
            if isinstance(kind, Mapping):
                self._zero(full, kind)
            else:
                self.found.values[full] = None

    def _list(self, name: str, kind: Kind, node: tree.Node) -> tuple[str, ...] | None:
        node = self._target(node)
        if isinstance(node, tree.Sequence):
            item_kind = Kind.TEXT if kind is Kind.TEXTS else kind
            items = [self._one(name, item_kind, item) for item in node.items]
            return tuple(item if isinstance(item, str) else "" for item in items)
        if isinstance(node, tree.Scalar) and self._is_null(name, node, kind.value):
            return None
        known = _ENUMERATIONS[kind][1] if kind in _ENUMERATIONS else ()
        raise self._unfit(name, node.line, node, kind.value, known=known)

    def _map(self, name: str, kind: Kind, node: tree.Node) -> None:
        node = self._target(node)
        if isinstance(node, tree.Scalar) and self._is_null(name, node, kind.value, secret=kind is Kind.SECRET_MAP):
            self.found.values[name] = None
            return
        if not isinstance(node, tree.Mapping):
            raise self._unfit(name, node.line, node, kind.value, secret=kind is Kind.SECRET_MAP)
        known = self.found.values.get(name)
        entries = known if isinstance(known, dict) else {}
        self.found.values[name] = entries
        for key_node, value_node in node.pairs:
            if _is_merge(key_node):
                self._merge(name, value_node, lambda inner: self._map(name, kind, inner))
                continue
            key = self._key(name, key_node)
            full = f"{name}.{key}"
            value = self._one(full, Kind.SECRET if kind is Kind.SECRET_MAP else Kind.TEXT, value_node)
            if key in entries:
                raise self._again(key_node.line, key, self.found.lines[full])
            self.found.lines[full] = key_node.line
            entries[key] = value if isinstance(value, str) else ""

    def _one(self, name: str, kind: Kind, node: tree.Node) -> Value:
        line = node.line
        node = self._target(node)
        if not isinstance(node, tree.Scalar):
            raise self._unfit(name, line, node, kind.value)
        try:
            if kind in _ENUMERATIONS:
                return self._enumerated(name, kind, line, node)
            if kind in (Kind.TEXT, Kind.SECRET):
                return scalars.text(node)
            return _NUMBERS[kind](node)
        except scalars.Unfit as error:
            raise self._unfit(name, line, node, kind.value, secret=kind is Kind.SECRET) from error

    def _enumerated(self, name: str, kind: Kind, line: int, node: tree.Scalar) -> str | None:
        if scalars.is_blank(node):
            return None
        what, known = _ENUMERATIONS[kind]
        value = scalars.text(node)
        if value not in known:
            advice = f"write one of {', '.join(known)}"
            near = get_close_matches(value, known, n=1)
            if near and kind is Kind.CIPHERS:  # a list of all would hide the sentence
                advice = f"did you mean {near[0]}?"
            raise UsageError(
                f"{self._place(line, name)}: {value_shown(value, known)} is not a {what} that can be asked for; "
                f"{advice}"
            )
        return value

    def _key(self, name: str, node: tree.Node) -> str:
        target = self._target(node)
        if not isinstance(target, tree.Scalar):
            raise UsageError(f"{self._place(node.line, name)}: a key must be a word, not a list or a map")
        try:
            return scalars.text(target)
        except scalars.Unfit as error:
            raise UsageError(f"{self._place(node.line, name)}: the tag of this key does not fit it") from error

    def _merge(self, name: str, node: tree.Node, into: Callable[[tree.Node], None]) -> None:
        parts = node.items[::-1] if isinstance(node, tree.Sequence) else (node,)
        for part in parts:
            if not isinstance(self._target(part), tree.Mapping):
                raise UsageError(f"{self._place(node.line, name)}: '<<' merges a map, or a list of maps")
            into(part)

    def _target(self, node: tree.Node) -> tree.Scalar | tree.Sequence | tree.Mapping:
        self._left -= 1
        if self._left < 0:
            raise UsageError(f"{self.found.path}: too many aliases (*) stand for too many values; write them out")
        return node.target if isinstance(node, tree.Alias) else node

    def _is_null(self, name: str, node: tree.Scalar, expected: str, *, secret: bool = False) -> bool:
        try:
            return scalars.is_null(node)
        except scalars.Unfit as error:
            raise self._unfit(name, node.line, node, expected, secret=secret) from error

    def _place(self, line: int, name: str) -> str:
        return f"{self.found.path}, line {line}" + (f" ({name})" if name else "")

    def _again(self, line: int, key: str, before: int) -> UsageError:
        return UsageError(
            f"{self.found.path}, line {line}: the key {shown(key)} stands here again; it was on line {before}"
        )

    def _no_section(self, name: str, keys: Mapping[str, Mapping[str, Kind] | Kind], node: tree.Node) -> UsageError:
        # Not shown: somebody may have named the file of a key.
        return self._unfit(name, node.line, node, f"a map with keys such as {', '.join(list(keys)[:2])}", secret=True)

    def _unknown(self, name: str, keys: Mapping[str, Mapping[str, Kind] | Kind], key: str, line: int) -> UsageError:
        near = get_close_matches(key, keys, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(keys)}"
        inside = f" in {name}" if name else ""
        return UsageError(f"{self.found.path}, line {line}: the key {shown(key)} is not known{inside}; {advice}")

    def _unfit(
        self,
        name: str,
        line: int,
        node: tree.Node,
        expected: str,
        *,
        secret: bool = False,
        known: tuple[str, ...] = (),
    ) -> UsageError:
        if isinstance(node, tree.Scalar):
            said = "a value stands" if secret else f"{value_shown(node.value, known)} stands"
        else:
            said = "a list stands" if isinstance(node, tree.Sequence) else "a map stands"
        return UsageError(f"{self._place(line, name)}: {said} where {expected} is expected")


_NUMBERS: Final[Mapping[Kind, Callable[[tree.Scalar], bool | int]]] = {
    Kind.FLAG: scalars.boolean,
    Kind.NUMBER: scalars.integer,
    Kind.DURATION: scalars.duration_ns,
}


def _is_merge(node: tree.Node) -> bool:
    return isinstance(node, tree.Scalar) and node.value == "<<" and (node.plain or node.tag == _MERGE_TAG)
