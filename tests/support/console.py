"""`python -m tests.support.console`: takes docs/images/prometheus-console.png anew.

A real Prometheus draws it with its console templates, from the queries of the committed dashboards. The data: a
simulated day goes through tracker and writer; `history export --format openmetrics` and `promtool tsdb` put it into
Prometheus; then an exporter on the same history is scraped for a while.
"""

import asyncio
import html
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exporter.backfill import Past
from exporter.clock import SystemClock
from exporter.settings import PollSettings
from exporter.simulator.simulation import SimulationSettings
from grafana.common import COLOURS, OTHER_COLOUR
from tests.support.documents import ROOT
from tests.support.loaded import load_past
from tests.support.pages import Pages, browser_pages, screenshot
from tests.support.panels import Looking, Target, read, targets
from tests.support.png import smaller
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.running import exporting, settings_against, simulated, value

PICTURE: Final = ROOT / "docs" / "images" / "prometheus-console.png"
LARGEST_BYTES: Final = 150_000
LIBRARIES: Final = "/usr/share/doc/prometheus/examples/console_libraries"
_SIZE: Final = (1280, 960)
_INSTANCE: Final = "exporter:10042"
_SEED: Final = 2
_AGENTS: Final = 32
_CALLS: Final = 3
_POLL_S: Final = 5.0
_LIVE_S: Final = 30
_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000
_OFF: Final = (190, 150)
"""When nobody was looking: so many minutes ago until so many minutes ago."""
_TEAM: Final = "Billing"
_PATIENCE_MS: Final = 90_000
_CONFIG: Final = """
global: {{scrape_interval: 5s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: zohovoice
    static_configs: [{{targets: ["{target}"], labels: {{instance: "{instance}"}}}}]
"""
_STYLE: Final = """
body { margin: 16px 24px; }
h1 { font-size: 24px; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 18px 0 6px; }
p { color: #555; margin: 0; }
table.table { width: auto; font-variant-numeric: tabular-nums; margin-bottom: 0; }
table.table td, table.table th { white-space: nowrap; }
td.number { text-align: right; }
.columns { display: flex; gap: 40px; font-size: 14px; }
.prom_graph_xtitle, .prom_graph_link { display: none; }
.rickshaw_graph .x_tick .title { opacity: 1; bottom: 2px; padding: 0 3px; color: #222; background: #fffc; }
"""


@dataclass(frozen=True, slots=True)
class _Dashboards:
    """The queries of the dashboards, looked at from one moment."""

    looking: Looking

    def query(self, name: str, **chosen: str) -> str:
        """The query of `dashboard: panel letter`, filled in."""
        return self.target(name).request(replace(self.looking, chosen=chosen)).expr

    def target(self, name: str) -> Target:
        (found,) = [each for each in targets() if each.name == name]
        return found

    def letters(self, panel: str) -> list[Target]:
        """All queries of `dashboard: panel`."""
        return [each for each in targets() if each.name.rpartition(" ")[0] == panel]


def main() -> None:
    """Take it."""
    with tempfile.TemporaryDirectory() as folder, browser_pages() as pages:
        pages.run(_take(pages, Path(folder)))
    size = PICTURE.stat().st_size
    print(f"{PICTURE.relative_to(ROOT)}: {size / 1000:.0f} kB{' - TOO LARGE' * (size > LARGEST_BYTES)}")


async def _take(pages: Pages, folder: Path) -> None:
    now = SystemClock().now_ms()
    people = SimulationSettings(seed=_SEED, agents=_AGENTS, calls_per_agent_hour=_CALLS, shifts_around=now)
    async with simulated(people) as simulator:
        settings = settings_against(simulator, folder, interval_s=_POLL_S)
        settings = replace(settings, poll=PollSettings(_POLL_S, max_age_s=3 * _POLL_S))
        now = SystemClock().now_ms()
        off = (now - _OFF[0] * _MINUTE_MS, now - _OFF[1] * _MINUTE_MS)
        past = Past(now - _DAY_MS - 10 * _MINUTE_MS, now, 30_000, off=(off,))
        load_past(people, past, settings.history.db, folder, instance=_INSTANCE)
        async with exporting(settings) as exporter:
            await exporter.until(lambda samples: value(samples, "zohovoice_up") == 1)
            config = _CONFIG.format(target=exporter.url.removeprefix("http://"), instance=_INSTANCE)
            flags = (
                "--storage.tsdb.retention.time=100y",
                f"--web.console.templates={folder}",
                f"--web.console.libraries={LIBRARIES}",
            )
            async with running_prometheus(config, folder, *flags) as prometheus:
                await asyncio.sleep(_LIVE_S)
                await _draw(pages, prometheus, folder)


async def _draw(pages: Pages, prometheus: Prometheus, folder: Path) -> None:
    dashboards = _Dashboards(Looking(time.time(), range_s=_DAY_MS // 1000, scrape_s=5))
    (folder / "zohovoice.html").write_text(await _template(dashboards, prometheus), encoding="utf-8")
    async with pages.open(size=_SIZE) as opened:
        # Its queries look at every minute of a day.
        await opened.page.goto(f"{prometheus.address}/consoles/zohovoice.html", timeout=_PATIENCE_MS)
        await opened.until("document.querySelectorAll('.rickshaw_graph svg').length === 2", seconds=60)
        assert "error" not in (await opened.page.content()).lower()
        await screenshot(opened.page, PICTURE)
    PICTURE.write_bytes(smaller(PICTURE.read_bytes()))


async def _template(dashboards: _Dashboards, prometheus: Prometheus) -> str:
    """The console template: Go's templates, filled by Prometheus itself when the page is asked for."""
    stack = dashboards.letters("agents-over-time: Agents by status")
    available = dashboards.letters("agents-over-time: Available agents per 15 minutes")
    return "\n".join(
        [
            "<!doctype html><html lang=en><head><meta charset=utf-8><title>Zoho Voice</title>",
            '{{ template "prom_console_head" }}',
            f"<style>{_STYLE}</style></head><body>",
            "<h1>Zoho Voice in Prometheus</h1>",
            "<p>Prometheus' own console templates, drawing the queries of the dashboards in grafana/dashboards.</p>",
            "<h2>Agents by status</h2>",
            *_across(dashboards.letters("agents-now: Agents by status"), dashboards),
            "<h2>Agents by status, 24 hours</h2>",
            *_graph("stack", stack, await _colours(stack, dashboards, prometheus), dashboards, renderer="area"),
            "<h2>Available agents per 15 minutes</h2>",
            *_graph("available", available, await _colours(available, dashboards, prometheus), dashboards),
            "<div class=columns><div>",
            f"<h2>Who is in what, and for how long: {_TEAM}</h2>",
            *_people(dashboards.query("agents-now: Who is in what, and for how long A", team=_TEAM)),
            "</div><div>",
            "<h2>Time in status by team, 24 hours</h2>",
            *_pivot(dashboards.letters("agents-over-time: Time in status by team"), dashboards),
            "</div></div></body></html>",
        ]
    )


def _quoted(expression: str) -> str:
    """A string of Go's templates."""
    return '"' + expression.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _across(found: Sequence[Target], dashboards: _Dashboards) -> Iterator[str]:
    yield '<table class="table table-sm table-bordered"><tr>'
    for target in found:
        name = html.escape(target.query["legendFormat"])
        name = "{{ .Labels.status }}" if "status" in target.legend_labels() else name
        yield f"{{{{ range query {_quoted(dashboards.query(target.name))} }}}}"
        yield f"<td>{name}: <b>{{{{ .Value }}}}</b></td>{{{{ end }}}}"
    yield "</tr></table>"


def _people(query: str) -> Iterator[str]:
    yield '<table class="table table-sm"><tr><th>Name</th><th>Status</th><th>Time in status</th></tr>'
    yield f"{{{{ range query {_quoted(f'sort_desc({query})')} }}}}"
    yield "<tr><td>{{ .Labels.name }}</td><td>{{ .Labels.status }}</td>"
    yield "<td class=number>{{ humanizeDuration .Value }}</td></tr>{{ end }}</table>"


def _pivot(found: Sequence[Target], dashboards: _Dashboards) -> Iterator[str]:
    """A row for each team that the first query knows, and a column for each query that has an answer."""
    options = next(each["options"] for each in found[0].panel["transformations"] if each["id"] == "organize")
    titles = {each.name: options["renameByName"][each.value_column] for each in found}
    shown = [each for each in found if titles[each.name] != "other"]
    yield '<table class="table table-sm"><tr><th>Team</th>'
    for number, each in enumerate(shown):
        yield f"<th>{html.escape(titles[each.name])}</th>"
        yield f"{{{{ $answer{number} := query {_quoted(dashboards.query(each.name))} }}}}"
    yield '</tr>{{ range sortByLabel "team" $answer0 }}{{ $team := .Labels.team }}<tr><td>{{ $team }}</td>'
    for number in range(len(shown)):
        yield f"<td class=number>{{{{ range $answer{number} }}}}{{{{ if eq .Labels.team $team }}}}"
        yield "{{ humanizeDuration .Value }}{{ end }}{{ end }}</td>"
    yield "</tr>{{ end }}</table>"


def _graph(
    node: str, found: Sequence[Target], colours: Sequence[str], dashboards: _Dashboards, *, renderer: str = "line"
) -> Iterator[str]:
    expressions = ", ".join(_script_text(dashboards.query(each.name)) for each in found)
    names = ", ".join(
        _script_text(each.query["legendFormat"].replace("{{", "[[").replace("}}", "]]")) for each in found
    )
    yield f'<div id="{node}"></div><script>new PromConsole.Graph({{node: document.getElementById("{node}"),'
    yield f"expr: [{expressions}], name: [{names}], renderer: {_script_text(renderer)}, height: 150, min: 0,"
    yield "yAxisFormatter: function (number) { return number || ''; },"
    yield f"duration: {_DAY_MS // 1000}, colorScheme: [{', '.join(map(_script_text, colours))}]}})</script>"


def _script_text(text: str) -> str:
    """A string of JavaScript, made by Go's templates from one of theirs, for they know where they are."""
    return "{{ " + _quoted(text) + " }}"


async def _colours(found: Sequence[Target], dashboards: _Dashboards, prometheus: Prometheus) -> list[str]:
    """The dashboard's colour of each series, in the order in which Prometheus gives them."""
    colours = []
    for target in found:
        request = target.request(dashboards.looking)
        by_name = {
            override["matcher"]["options"]: each["value"]["fixedColor"]
            for override in target.panel["fieldConfig"]["overrides"]
            for each in override["properties"]
            if each["id"] == "color"
        }
        for series in read(await prometheus.asked(request.path, request.parameters)):
            name = target.display_name(series)
            colours.append(by_name.get(name, COLOURS.get(name, OTHER_COLOUR)))
    return colours


if __name__ == "__main__":
    main()
