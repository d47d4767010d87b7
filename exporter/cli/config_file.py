"""The YAML file of `--config.file`: every key is known, stands once and has a value of the right sort.

Keys are written as nested maps (`poll: {interval: 30s}`) or dotted (`poll.interval: 30s`), at any level and mixed;
`db` has a value of its own, so its mode is written dotted: `db.mode: "0640"`.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

import yaml

from exporter.cli.settings_table import SECRETS, SETTINGS, Setting, Shape
from exporter.errors import UsageError
from exporter.model import storable
from exporter.textfile import read_text
from exporter.yaml_text import entries, is_null, place, read_yaml, scalar_text

_SECRET_KEYS = {name.removesuffix("-file"): name for name in SECRETS}

Found = dict[str, tuple[tuple[str, ...], str]]


def read_config_file(path: Path) -> Found:
    """The texts given for each setting, and where they stand: `{"poll.interval": (("30s",), "x.yml, line 3 …")}`.

    The texts are the characters of the file, so `0640` stays octal. Raises UsageError with file, line and key.
    """
    root = read_yaml(path, read_text(path, "--config.file"))
    if root is None or is_null(root):
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{place(path, root)}: expected a map of settings, such as 'poll: {{interval: 30s}}'")
    found: Found = {}
    for name, key_node, value in _leaves(path, root, ""):
        where = f"{path}, line {key_node.start_mark.line + 1} ({name})"
        if name in found:
            raise UsageError(f"{where}: the key stands here again; it was at {found[name][1]}")
        found[name] = (_texts(where, SETTINGS[name], value), where)
    return found


def _leaves(path: Path, node: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    for key, key_node, value in entries(path, node):
        name = f"{prefix}{key}"
        if isinstance(value, yaml.MappingNode) and _is_group(name):
            yield from _leaves(path, value, f"{name}.")
        elif name in SETTINGS:
            yield name, key_node, value
        else:
            raise UsageError(f"{path}, line {key_node.start_mark.line + 1}: {_unknown(name, value)}")


def _is_group(name: str) -> bool:
    return any(known.startswith(f"{name}.") for known in SETTINGS)


def _unknown(name: str, value: yaml.Node) -> str:
    if name in _SECRET_KEYS:
        file_key = _SECRET_KEYS[name]
        return (
            f"the key '{name}' would put a secret into this file; "
            f"write the secret to a file of its own and name it by {file_key}, or set {SECRETS[file_key]}"
        )
    if _is_group(name):
        inner = [known.removeprefix(f"{name}.") for known in SETTINGS if known.startswith(f"{name}.")]
        return f"expected a map under '{name}', with keys such as {', '.join(inner[:3])}"
    shown = storable(name)[:80]
    parent = name.rpartition(".")[0]
    if parent in SETTINGS:
        return f"the key '{shown}' is not known; '{parent}' holds its value itself, as in '{parent}: FILE'"
    near = get_close_matches(name, SETTINGS, n=1)
    if not near and "." not in name:
        near = get_close_matches(name, {known.partition(".")[0]: None for known in SETTINGS}, n=1)
    return f"the key '{shown}' is not known" + (f"; did you mean '{near[0]}'?" if near else "")


def _texts(where: str, setting: Setting, value: yaml.Node) -> tuple[str, ...]:
    expected = _expected(setting)
    if is_null(value):
        raise UsageError(f"{where}: the key has no value; expected {expected}, or leave the key out")
    scalar = scalar_text(value)
    if scalar is not None:
        return (scalar,)
    if isinstance(value, yaml.SequenceNode) and setting.shape in (Shape.COMMA_LIST, Shape.REPEATED):
        items = [scalar_text(item) for item in value.value]
        texts = tuple(item for item in items if item)
        if len(texts) != len(items) or not texts:
            raise UsageError(f"{where}: expected {expected}, each a plain value")
        return (",".join(texts),) if setting.shape is Shape.COMMA_LIST else texts
    said = "a list" if isinstance(value, yaml.SequenceNode) else "a map"
    raise UsageError(f"{where}: {said} stands where {expected} is expected")


def _expected(setting: Setting) -> str:
    if setting.shape is Shape.SWITCH:
        return "true or false"
    if setting.shape is Shape.ONE:
        return f"one value ({setting.metavar.lower()})"
    return f"a value or a list of values ({setting.metavar.lower()})"
