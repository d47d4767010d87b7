"""`python -m grafana.build` writes every dashboard to grafana/dashboards/ as the JSON that Grafana imports."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import agents_now, agents_over_time, exporter_health, history_sqlite
from grafana.rules import write_rules

DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    "agents-now.json": agents_now.build,
    "agents-over-time.json": agents_over_time.build,
    "exporter-health.json": exporter_health.build,
    "history-sqlite.json": history_sqlite.build,
}
"""What builds each file of `FOLDER`."""
FOLDER: Final = Path(__file__).parent / "dashboards"


def rendered(dashboard: Dashboard) -> str:
    """The text of a dashboard's file: stable, so that a change of the source shows as a small difference."""
    board = json.loads(JSONEncoder().encode(dashboard))
    for variable in board["templating"]["list"]:
        # The SDK writes keys that Grafana's types know for intervals only, if at all.
        if variable["type"] != "interval":
            for key in ("auto", "auto_min", "auto_count"):
                variable.pop(key, None)
    return json.dumps(board, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files."""
    for name, build in DASHBOARDS.items():
        (FOLDER / name).write_text(rendered(build()), encoding="utf-8")
    write_rules()


if __name__ == "__main__":
    main()
