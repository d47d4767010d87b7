"""What holds for every dashboard: source and JSON agree, variables, places and colours of panels."""

import json
import re
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.builders import table

from exporter.report.palette import FIXED
from grafana.build import DASHBOARDS, FOLDER, rendered
from grafana.common import AGENT_CHOICE, AGENT_REGEX, COLOURS, HISTORY_COLOURS, OTHER_COLOUR, STATUSES
from grafana.tables import by_status
from tests.support.grafana import FOLDER as GRAFANA
from tests.support.grafana import dashboard, panel, panels, variable, variable_query
from tests.support.lint import variables
from tests.support.panels import by_hand
from tests.support.promql import GOOD, NAMED, TARGET, evaluate

NAMES = [name.removesuffix(".json") for name in DASHBOARDS]
ON_PROMETHEUS = [name for name in NAMES if variables(dashboard(name), "datasource")[0]["query"] == "prometheus"]
ABOUT_AGENTS = ["agents-now", "agents-over-time"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_json_is_what_the_source_builds(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == rendered(DASHBOARDS[name]()), "run `python -m grafana.build` and commit what it writes"


def test_every_json_file_has_a_source() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_has_a_stable_address_and_leads_to_the_others(name: str) -> None:
    board = dashboard(name)
    assert board["uid"] == f"zohovoice-{name}"
    assert "id" not in board
    assert board["tags"] == ["zoho-voice"]
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["keepTime"]) == ("dashboards", ["zoho-voice"], True)


@pytest.mark.parametrize("name", ON_PROMETHEUS)
def test_variables_take_several_values_or_all(name: str) -> None:
    source, *others = dashboard(name)["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    wanted = [("job", ".+"), ("instance", ".+"), ("team", ".*"), ("agent", ".+")]
    asked = [(each["name"], each["allValue"]) for each in others]
    assert asked == (wanted if name in ABOUT_AGENTS else wanted[: len(asked)])
    assert len(asked) >= 2
    for each in others:
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert each["multi"] is each["includeAll"] is True
        assert each["current"]["value"] == ["$__all"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    numbers = [each["id"] for each in panels(name)]
    assert len(numbers) == len(set(numbers))
    shown = dashboard(name)["panels"]
    cells = [
        (x, y)
        for place in (each["gridPos"] for each in shown)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize("name", NAMES)
def test_titles_are_said_once(name: str) -> None:
    titles = [each["title"] for each in panels(name)]
    assert len(titles) == len(set(titles))


def test_a_table_has_a_column_for_each_query_however_many_there_are() -> None:
    queries = {f"column {number}": "vector(1)" for number in range(27)}
    with pytest.raises(ValueError, match="longer than"):
        by_status(table.Panel(), queries, {"team": "Team"})
    del queries["column 26"]
    built = by_status(table.Panel(), queries, {"team": "Team"}).build()
    (organize,) = [each.options for each in built.transformations or () if each.id_val == "organize"]
    assert [*organize["renameByName"].values()] == ["Team", *queries]
    assert len(built.targets or ()) == len(queries)


# ---- what is shown where there is nothing


@pytest.mark.parametrize("name", NAMES)
def test_no_table_says_in_its_empty_cells_what_is_meant_for_all_of_it(name: str) -> None:
    """Grafana writes `noValue` into each cell without a value: who has no team would have the team "no good poll"."""
    defaults = [each["fieldConfig"]["defaults"] for each in panels(name) if each["type"] == "table"]
    assert [each for each in defaults if each.get("noValue")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_number_that_is_not_known_is_not_painted_green(name: str) -> None:
    """Where a panel names no colour, Grafana paints what has no value in the colour of its lowest threshold: green."""
    for each in panels(name):
        if each["type"] == "stat" and each["options"]["colorMode"] != "none":
            colour = each["fieldConfig"]["defaults"]["color"]
            if colour["mode"] == "thresholds":
                lowest = each["fieldConfig"]["defaults"]["thresholds"]["steps"][0]
                assert lowest == {"color": "text", "value": None}, each["title"]
            else:
                assert (colour["mode"], colour["fixedColor"] == COLOURS["Available"]) == ("fixed", False), each["title"]


@pytest.mark.parametrize("name", NAMES)
def test_lanes_have_colours_of_their_own_and_so_a_legend(name: str) -> None:
    """Grafana gives a state timeline a scale of colours by itself, and draws no legend for one."""
    for each in panels(name):
        if each["type"] == "state-timeline":
            assert each["fieldConfig"]["defaults"]["color"]["mode"] == "fixed", each["title"]
            assert not each["fieldConfig"]["defaults"]["custom"].get("spanNulls"), each["title"]


# ---- the choice of agents


def _chosen(series: dict[str, str], tmp_path: Path, shown: dict[str, str], **chosen: str) -> None:
    """What the variable's query answers is, as Grafana writes it, read by the variable's pattern."""
    pattern = re.compile(AGENT_REGEX.strip("/").replace("(?<", "(?P<"))
    labels = {f'{{agent="{text}",agent_id="{value}"}}': (text, value) for value, text in shown.items()}
    evaluate(tmp_path, series, [(by_hand(AGENT_CHOICE, "agents-now", **chosen), "20m", [(each, 1) for each in labels])])
    for written, pair in labels.items():
        found = pattern.search(f"{written} 1 1200000")
        assert found
        assert (found["text"], found["value"]) == pair


def test_agents_are_chosen_by_name_and_go_into_queries_by_id(tmp_path: Path) -> None:
    _chosen({**GOOD, **NAMED}, tmp_path, {"1": "Ann", "2": "Bob"})
    _chosen({**GOOD, **NAMED}, tmp_path, {"1": "Ann"}, team="Sales")


def test_agents_are_chosen_by_id_where_names_are_not_exposed(tmp_path: Path) -> None:
    _chosen(GOOD, tmp_path, {"1": "1", "2": "2"})


def test_who_left_within_the_time_range_can_be_chosen(tmp_path: Path) -> None:
    name = f'zohovoice_agent_status_since_timestamp_seconds{{{TARGET},agent_id="2"}}'
    _chosen({**GOOD, name: "0x10 stale"}, tmp_path, {"1": "1", "2": "2"})


def test_a_name_with_quotes_and_braces_is_read_whole() -> None:
    found = re.search(
        AGENT_REGEX.strip("/").replace("(?<", "(?P<"), '{agent="Ann "{A}", agent",agent_id="1"} 1 1200000'
    )
    assert found
    assert (found["text"], found["value"]) == ('Ann "{A}", agent', "1")


@pytest.mark.parametrize("name", ABOUT_AGENTS)
def test_the_variable_asks_for_the_choice_of_agents(name: str) -> None:
    asked = variable(name, "agent")
    assert variable_query(asked) == ("query_result", AGENT_CHOICE)
    assert asked["regex"] == AGENT_REGEX


# ---- colours


def test_statuses_have_the_colours_of_the_pages_and_what_is_not_known_none_of_theirs() -> None:
    for word in STATUSES:
        assert COLOURS[word] in (FIXED[word].light.fill, FIXED[word].dark.fill)
    colours = [*COLOURS.values(), OTHER_COLOUR]
    assert len(colours) == len(set(colours))
    assert list(COLOURS) == [*STATUSES, "unknown"]
    assert HISTORY_COLOURS["absent"] == HISTORY_COLOURS["error"] == COLOURS["unknown"]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("agents-now", "Agents by status"),
        ("agents-now", "Time of all agents today"),
        ("agents-now", "Share of time today"),
        ("agents-over-time", "Agents by status"),
        ("agents-over-time", "Transitions per hour"),
        ("agents-over-time", "Time in status by agent"),
        ("agents-over-time", "Time in status by team"),
    ],
)
def test_a_status_has_the_same_colour_in_every_panel(name: str, title: str) -> None:
    painted = {
        override["matcher"]["options"]: each["value"]["fixedColor"]
        for override in panel(name, title)["fieldConfig"]["overrides"]
        for each in override["properties"]
        if each["id"] == "color"
    }
    assert painted.items() >= COLOURS.items()
    assert painted.get("other", OTHER_COLOUR) == OTHER_COLOUR


def test_provisioning_names_the_data_source_and_a_folder_for_the_dashboards() -> None:
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/zohovoice.yml").read_text())["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    readme = (GRAFANA / "README.md").read_text(encoding="utf-8")
    assert provider["options"]["path"] in readme


def test_files_are_stable_text() -> None:
    for name in DASHBOARDS:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert text == json.dumps(json.loads(text), sort_keys=True, indent=2, ensure_ascii=False) + "\n"
