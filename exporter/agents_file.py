"""The agents file: who is to be tracked, with names and teams, as CSV or YAML. Ids are text and keep every digit."""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Final

import yaml

from exporter.errors import UsageError
from exporter.model import Agent, storable
from exporter.textfile import read_text
from exporter.yaml_text import entries, is_null, place, read_yaml, scalar_text

COLUMNS: Final = ("id", "name", "team")
AGENT_ID: Final = re.compile("[0-9]{1,32}")
"""Zoho's ids have 14 to 17 digits; more are let through, for the length is documented nowhere."""


def load_agents_file(path: Path) -> tuple[Agent, ...]:
    """The agents in the order of the file. The name's ending decides: `.csv`, or `.yaml` or `.yml`.

    CSV has a header with `id` and, if wanted, `name` and `team`, in any order, parted by commas. YAML is a list of
    maps with the same keys, or a map from id to such a map (or to the name alone). A byte order mark is no harm.
    Raises UsageError that names file, line and column for the first mistake.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".yaml", ".yml"):
        raise UsageError(f"the agents file {path} must end in .csv, .yaml or .yml, which says how it is read")
    text = read_text(path, "--agents.file")
    found = _unique(path, _from_csv(path, text) if suffix == ".csv" else _from_yaml(path, text))
    if not found:
        raise UsageError(f"{path}, line 1: the file names no agent; write at least one id, or leave out --agents.file")
    return found


def _unique(path: Path, found: Iterator[tuple[int, Agent]]) -> tuple[Agent, ...]:
    lines: dict[str, int] = {}
    agents = []
    for line, agent in found:
        if agent.agent_id in lines:
            first = lines[agent.agent_id]
            raise UsageError(
                f"{path}, line {line}, column 'id': the id {agent.agent_id} stands here again; it was on line {first}"
            )
        lines[agent.agent_id] = line
        agents.append(agent)
    return tuple(agents)


def _agent(where: str, fields: dict[str, str]) -> Agent:
    agent_id = fields.get("id", "").strip()
    if not AGENT_ID.fullmatch(agent_id):
        said = f"'{storable(agent_id)[:40]}'" if agent_id else "nothing"
        raise UsageError(f"{where}, column 'id': {said} stands where an agent id is expected: decimal digits only")
    return Agent(agent_id, storable(fields.get("name", "").strip()), storable(fields.get("team", "").strip()))


def _from_csv(path: Path, text: str) -> Iterator[tuple[int, Agent]]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    header: list[str] = []
    line = 1  # a record may span lines: the one where it begins is named
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                pass
            elif not header:
                header = _header(path, line, row)
            else:
                yield line, _agent(f"{path}, line {line}", _fields(path, line, header, row))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}, line {line}: this is not CSV: {error}") from error


def _header(path: Path, line: int, row: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in row]
    for number, name in enumerate(header, 1):
        where = f"{path}, line {line}, column {number}"
        if name not in COLUMNS:
            hint = " (columns are parted by commas)" if ";" in name or "\t" in name else ""
            raise UsageError(
                f"{where}: the header names '{storable(name)[:40]}'{hint}; the columns are id, name and team"
            )
        if header.index(name) != number - 1:
            raise UsageError(f"{where}: the header names the column '{name}' twice")
    if "id" not in header:
        raise UsageError(f"{path}, line {line}: the header has no column 'id'; the columns are id, name and team")
    return header


def _fields(path: Path, line: int, header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) > len(header):
        raise UsageError(
            f"{path}, line {line}, column {len(header) + 1}: the row has {len(row)} columns and the header "
            f"{len(header)}; put a name that holds a comma in double quotes"
        )
    return dict(zip(header, row, strict=False))


def _from_yaml(path: Path, text: str) -> Iterator[tuple[int, Agent]]:
    root = read_yaml(path, text)
    if root is None or is_null(root):
        return
    if isinstance(root, yaml.SequenceNode):
        for item in root.value:
            if not isinstance(item, yaml.MappingNode):
                raise UsageError(f"{place(path, item)}: expected a map such as {{id: 7001, name: Ann, team: Sales}}")
            yield item.start_mark.line + 1, _agent(str(place(path, item)), _yaml_fields(path, item, COLUMNS))
    elif isinstance(root, yaml.MappingNode):
        for agent_id, key_node, value in entries(path, root):
            yield key_node.start_mark.line + 1, _agent(str(place(path, key_node)), _under_id(path, agent_id, value))
    else:
        raise UsageError(f"{place(path, root)}: expected a list of agents, or a map from id to agent")


def _under_id(path: Path, agent_id: str, value: yaml.Node) -> dict[str, str]:
    if isinstance(value, yaml.MappingNode):
        return {"id": agent_id, **_yaml_fields(path, value, COLUMNS[1:])}
    name = scalar_text(value)
    if name is None:
        raise UsageError(f"{place(path, value)}: expected the agent's name, or a map with name and team")
    return {"id": agent_id, "name": "" if is_null(value) else name}


def _yaml_fields(path: Path, node: yaml.MappingNode, allowed: tuple[str, ...]) -> dict[str, str]:
    fields = {}
    for key, key_node, value in entries(path, node):
        if key not in allowed:
            raise UsageError(
                f"{place(path, key_node)}: the key '{storable(key)[:40]}' is not known here; "
                f"the keys are {', '.join(allowed)}"
            )
        text = scalar_text(value)
        if text is None:
            raise UsageError(f"{place(path, value)}: '{key}' must be text, not a list or a map")
        fields[key] = "" if is_null(value) else text
    return fields
