"""The agents file: what is read from it, and what each mistake is answered with."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.agents_file import load_agents_file
from exporter.errors import UsageError
from exporter.model import Agent

DATA = Path(__file__).parent / "data" / "agents_file"


def test_csv_gives_ids_names_and_teams_as_text() -> None:
    assert load_agents_file(DATA / "good.csv") == (
        Agent("7001", "Ann", "Sales"),
        Agent("7002", "Ben, junior", "Support"),
        Agent("0070030000000000001", "Cem", ""),
    )


def test_csv_may_have_a_byte_order_mark_other_line_ends_blank_lines_and_another_order_of_columns() -> None:
    assert load_agents_file(DATA / "byte-order-mark-and-other-order.csv") == (
        Agent("7001", "", "Sales"),
        Agent("7002", "", "Support"),
    )


def test_yaml_ids_keep_leading_zeros_and_every_digit_and_words_stay_words() -> None:
    assert load_agents_file(DATA / "good-list.yaml") == (
        Agent("7001", "Ann", "Sales"),
        Agent("7002", "yes", "2024-01-01"),
        Agent("58000000000000001", "", ""),
        Agent("007003", "", ""),
    )


def test_yaml_may_be_a_map_from_id_to_name_or_to_name_and_team() -> None:
    assert load_agents_file(DATA / "good-map.yml") == (
        Agent("7001", "Ann", ""),
        Agent("0007002", "Ben", "Support"),
        Agent("58000000000000001", "", ""),
    )


MISTAKES = {
    "duplicate-id.csv": "{path}, line 4, column 'id': the id 7001 stands here again; it was on line 2",
    "non-numeric-id.csv": (
        "{path}, line 3, column 'id': 'seventy' stands where an agent id is expected: decimal digits only"
    ),
    "missing-id.csv": "{path}, line 2, column 'id': nothing stands where an agent id is expected: decimal digits only",
    "unknown-column.csv": "{path}, line 1, column 3: the header names 'queue'; the columns are id, name and team",
    "column-twice.csv": "{path}, line 1, column 3: the header names the column 'name' twice",
    "no-id-column.csv": "{path}, line 1: the header has no column 'id'; the columns are id, name and team",
    "semicolons.csv": (
        "{path}, line 1, column 1: the header names 'id;name;team' (columns are parted by commas); "
        "the columns are id, name and team"
    ),
    "row-too-long.csv": (
        "{path}, line 2, column 4: the row has 4 columns and the header 3; "
        "put a name that holds a comma in double quotes"
    ),
    "open-quote.csv": "{path}, line 2: this is not CSV: unexpected end of data",
    "empty.csv": "{path}, line 1: the file names no agent; write at least one id, or leave out --agents.file",
    "header-only.csv": "{path}, line 1: the file names no agent; write at least one id, or leave out --agents.file",
    "latin-1.csv": "{path}, line 3: this is not UTF-8 text: save the file as UTF-8",
    "duplicate-id.yaml": "{path}, line 2, column 'id': the id 7001 stands here again; it was on line 1",
    "duplicate-key.yaml": "{path}, line 2, column 1: the key '7001' stands here again; it was on line 1",
    "underscore-in-id.yaml": (
        "{path}, line 2, column 3, column 'id': '70_02' stands where an agent id is expected: decimal digits only"
    ),
    "unknown-key.yaml": "{path}, line 2, column 3: the key 'queue' is not known here; the keys are id, name, team",
    "list-as-id.yaml": "{path}, line 1, column 7: 'id' must be text, not a list or a map",
    "bare-id.yaml": "{path}, line 1, column 3: expected a map such as {{id: 7001, name: Ann, team: Sales}}",
    "only-a-word.yaml": "{path}, line 1, column 1: expected a list of agents, or a map from id to agent",
    "bad-indent.yaml": "{path}, line 2, column 8: this is not YAML: mapping values are not allowed here",
    "empty.yaml": "{path}, line 1: the file names no agent; write at least one id, or leave out --agents.file",
    "agents.txt": "the agents file {path} must end in .csv, .yaml or .yml, which says how it is read",
    "not-there.csv": "--agents.file: cannot read the file {path}: No such file or directory",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_file_line_and_column(name: str) -> None:
    path = DATA / name
    with pytest.raises(UsageError) as caught:
        load_agents_file(path)
    assert str(caught.value) == MISTAKES[name].format(path=path)


def test_every_data_file_is_used_by_a_test() -> None:
    good = {"good.csv", "byte-order-mark-and-other-order.csv", "good-list.yaml", "good-map.yml"}
    assert {path.name for path in DATA.iterdir()} == (good | set(MISTAKES)) - {"not-there.csv"}


def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "agents.csv"
    folder.mkdir()
    with pytest.raises(UsageError, match=r"--agents\.file: cannot read the file .*: Is a directory"):
        load_agents_file(folder)


def test_yaml_that_is_nested_without_end_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "agents.yaml"
    path.write_text("[" * 5000)
    with pytest.raises(UsageError, match=r"nested too deeply|not YAML"):
        load_agents_file(path)


def test_a_name_that_would_steer_a_terminal_is_made_harmless(tmp_path: Path) -> None:
    path = tmp_path / "agents.csv"
    path.write_text("id,name\n7001,\x1b[31mAnn\n", encoding="utf-8")
    assert load_agents_file(path) == (Agent("7001", "\ufffd[31mAnn"),)


ids = st.lists(st.from_regex(r"[0-9]{1,20}", fullmatch=True), min_size=1, max_size=8, unique=True)


@given(ids)
def test_any_ids_come_out_of_csv_and_yaml_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("agents")
    (folder / "a.csv").write_text("id\n" + "\n".join(ids))
    (folder / "a.yaml").write_text("\n".join(f"- id: {agent_id}" for agent_id in ids))
    (folder / "b.yaml").write_text("\n".join(f"{agent_id}:" for agent_id in ids))
    for name in ("a.csv", "a.yaml", "b.yaml"):
        assert [agent.agent_id for agent in load_agents_file(folder / name)] == ids
