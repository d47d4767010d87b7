"""What is chosen at the top of the dashboard "History from SQLite"."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard

from grafana.history_sql import OWN_NAME
from grafana.sqlite import PLUGIN, SOURCE, is_chosen

TEAMS: Final = "SELECT team FROM agent_version WHERE team <> '' GROUP BY team ORDER BY team"
"""The choices of the variable `team`."""
ALL_TEAMS: Final = "SELECT team FROM agent_version UNION SELECT ''"
"""What "All" of the variable `team` stands for: Grafana puts it in as it is."""

AGENTS: Final = f"""SELECT {OWN_NAME} AS __text, agent_id AS __value
FROM (
  SELECT agent_id, {OWN_NAME} AS name
  FROM (
    SELECT
      agent_id, coalesce(nullif(name, ''), agent_id) AS name, coalesce(team, '') AS team, max(valid_from)
    FROM agent LEFT JOIN agent_version ON agent_version.agent = agent.id
    GROUP BY agent_id
  )
  WHERE {is_chosen("team", "team")}
)
ORDER BY __text, __value"""
"""The choices of the variable `agent`."""
ALL_AGENTS: Final = "SELECT agent_id FROM agent"

STATUS_WORDS: Final = "SELECT word FROM status WHERE kind = 0 ORDER BY word"
"""The choices of the variable `status`."""


def _choice(name: str, label: str, query: str, description: str) -> builders.QueryVariable:
    variable = builders.QueryVariable(name).label(label).description(description).datasource(SOURCE).query(query)
    return variable.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)


def _choices(name: str, label: str, query: str, everything: str, description: str) -> builders.QueryVariable:
    chosen = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    return _choice(name, label, query, description).multi(True).include_all(True).all_value(everything).current(chosen)


def with_choices(board: builders.Dashboard) -> builders.Dashboard:
    """`board` with data source, team, agent, and which stays are long."""
    text = "Teams as known at the end of the time range; agents without a team are shown under All only"
    board.with_variable(builders.DatasourceVariable("datasource").label("Data source").type(PLUGIN))
    board.with_variable(_choices("team", "Team", TEAMS, ALL_TEAMS, text))
    text = "Agents that the chosen teams have now; All is everybody who was ever recorded, within the chosen teams"
    board.with_variable(_choices("agent", "Agent", AGENTS, ALL_AGENTS, text))
    chosen = dashboard.VariableOption(selected=True, text="On Break", value="On Break")
    text = "The status of the table of long breaks"
    board.with_variable(_choice("status", "Long breaks: status", STATUS_WORDS, text).current(chosen))
    lengths = ("5", "10", "15", "30", "45", "60", "90", "120")
    options = [dashboard.VariableOption(selected=each == "30", text=each, value=each) for each in lengths]
    minutes = builders.CustomVariable("minutes").label("more minutes than").values(",".join(lengths))
    (chosen,) = [option for option in options if option.selected]
    text = "From which length on a stay is in the table of long breaks"
    return board.with_variable(minutes.description(text).options(options).current(chosen))
