"""`make docs`: writes the generated parts of the documentation anew, from the tables that the program runs on."""

import ast
import inspect
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import click

from exporter.cli.settings_table import CONFIG_FILE, SECRETS, SETTINGS, Setting
from exporter.history.facts import RECORDER, HistoryFacts, Source
from exporter.history.question import Question
from exporter.history.reports import REPORTS
from exporter.history.window import Window
from exporter.metrics.families import FAMILIES
from exporter.metrics.family import Family, Type
from exporter.report.model import Column
from exporter.simulator import control, kinds
from exporter.zoho.endpoints import Endpoint
from tests.support import api_examples, datasette
from tests.support.commands import Documented, every_command
from tests.support.documents import ROOT, documents, read, table, with_regions
from tests.support.examples import Examples
from tests.support.import_examples import made_anew
from tests.support.sample_history import write_sample_history

_TYPED: Final = re.compile(r"(?<![`\w-])(--[a-z][a-z.-]*[a-z]|ZOHOVOICE_[A-Z_]+|zohovoice_[a-z_]+)(?![`\w])")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _prose(text: str) -> str:
    """Text of a help as Markdown: nothing in it is markup, but what stands in backticks; names to be typed do so."""
    plain = text.replace("<", "&lt;").replace("*", "\\*")
    return _TYPED.sub(r"`\1`", plain)


# --- settings ---------------------------------------------------------------------------------------------------------


def settings() -> str:
    """All settings, a table for each group."""
    parts = []
    for group, members in groupby((*SETTINGS.values(), CONFIG_FILE), key=lambda one: one.name.partition(".")[0]):
        rows = ((_flags(one), _code(one.variable), _default(one), _prose(one.help)) for one in members)
        parts.append(f"### {group}\n\n{table(('Flag', 'Variable', 'Default', 'Meaning'), rows)}\n")
    return "\n" + "".join(parts)


def _flags(setting: Setting) -> str:
    if not setting.metavar:
        return f"`{setting.flag}`, `--no-{setting.name}`"
    return _code(f"{setting.flag} {setting.metavar}")


def _default(setting: Setting) -> str:
    on_off = {"true": "on", "false": "off"}
    return on_off.get(setting.default or "", _code(setting.default or ""))


def secrets() -> str:
    """The variables that may hold a secret itself."""
    rows = ((_code(variable), _code(f"--{name}")) for name, variable in SECRETS.items())
    return "\n" + table(("Variable with the secret", "in place of the file of"), rows) + "\n"


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command with its usage, its description, its own options and which settings it takes."""
    return "\n" + "\n".join(_command(one) for one in every_command() if one.words)


def _command(one: Documented) -> str:
    level = "##" + "#" * len(one.words)
    parts = [f"{level} {' '.join(one.words)}\n", f"```text\n{one.usage}\n```\n", f"{_prose(one.help)}\n"]
    if one.options:
        rows = ((_option(option), _shown_default(option), _prose(option.help or "")) for option in one.options)
        parts.append(table(("Option", "Default", "Meaning"), rows))
    if one.settings:
        parts.append(f"Settings: {_settings_of(one)}.\n")
    return "\n".join(parts)


def _option(option: click.Option) -> str:
    context = click.Context(click.Command(""))
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    return _code(f"{', '.join(option.opts)}{value}")


def _shown_default(option: click.Option) -> str:
    if not option.show_default:
        return ""
    default = option.default
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return _code(shown)


def _settings_of(one: Documented) -> str:
    if len(one.settings) == len(SETTINGS) + 1:
        return "[all](configuration.md#settings)"
    groups = dict.fromkeys(setting.name.partition(".")[0] for setting in one.settings)
    named = []
    for group in groups:
        of_group = [setting for setting in one.settings if setting.name.partition(".")[0] == group]
        everything = [name for name in SETTINGS if name.partition(".")[0] == group]
        whole = len(of_group) > 1 and len(of_group) == len(everything)
        flags = [f"--{group}.*"] if whole else [setting.flag for setting in of_group]
        named += [f"[`{flag}`](configuration.md#{group})" for flag in flags]
    return ", ".join(named)


def report_fields() -> str:
    """The fields of the rows of each report, if nothing else is asked for."""
    nothing = HistoryFacts(Window(0, 0), (), (Source(RECORDER, ()),), run_open=False, water_mark=None)
    question = Question(nothing.window, ZoneInfo("UTC"), 0)
    everything = replace(question, groups=frozenset())
    rows = (
        (_code(name), _fields(report(nothing, everything if name == "matrix" else question).columns))
        for name, report in REPORTS.items()
    )
    return "\n" + table(("Report", "Fields of a row"), rows) + "\n"


def _fields(columns: tuple[Column, ...]) -> str:
    return ", ".join(_code(column.name) for column in columns)


# --- metrics ----------------------------------------------------------------------------------------------------------


def metrics() -> str:
    """Every family with its labels and the first sentence of its help."""
    rows = ((_code(f.name), _labels(f), _prose(f.help.partition(". ")[0].rstrip("."))) for f in FAMILIES)
    return "\n" + table(("Metric", "Labels", "Meaning"), rows) + "\n"


def metric_families() -> str:
    """Every family with all that is known of it."""
    parts = []
    for family in FAMILIES:
        facts = [f"{family.type.value}", f"exposed {family.shown.value}"]
        if family.labels:
            facts.insert(1, f"labels {_labels(family)}")
        if family.type is Type.HISTOGRAM:
            facts.append(f"buckets up to {', '.join(f'{bound:g}' for bound in family.buckets)} s")
        parts.append(f"### {family.name}\n\n{_prose(_sentence('; '.join(facts)))}\n\n{_prose(family.help)}\n")
    return "\n" + "\n".join(parts) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _labels(family: Family) -> str:
    return ", ".join(_code(label) for label in family.labels)


def endpoints() -> str:
    """The values of the label `endpoint`, and what Zoho wants for each."""
    rows = (
        (_code(one.value), f"{one.method} `{one.path}`", " or ".join(map(_code, one.scopes)), f"{one.purpose}")
        for one in Endpoint
    )
    return "\n" + table(("Endpoint", "Request", "Scope", "What for"), rows) + "\n"


def prometheus() -> str:
    """The example of a scrape configuration."""
    return f"\n```yaml\n{(ROOT / 'deploy' / 'prometheus.yml').read_text(encoding='utf-8')}```\n\n"


# --- simulator and database -------------------------------------------------------------------------------------------


def faults() -> str:
    """What can be made to go wrong, where, and with which particulars. The docstrings are only in the source."""
    described = _docstrings_after_assignments(inspect.getsource(kinds.FaultKind))
    rows = (
        (
            _code(kind.value),
            "everywhere" if rule.labels == frozenset(kinds.Label) else ", ".join(_where(rule.labels)),
            ", ".join(_code(name) for name in sorted(rule.particulars)),
            _prose(_one_line(described[kind.name])),
        )
        for kind, rule in kinds.RULES.items()
    )
    return "\n" + table(("Fault", "At", "Takes", "What happens"), rows) + "\n"


def _where(labels: frozenset[kinds.Label]) -> Iterator[str]:
    if len(labels) > len(kinds.Label) / 2:
        yield "everywhere but " + ", ".join(_code(label.value) for label in kinds.Label if label not in labels)
    else:
        yield from (_code(label.value) for label in kinds.Label if label in labels)


def _docstrings_after_assignments(source: str) -> dict[str, str]:
    (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    found = {}
    for before, after in pairwise(body):
        if isinstance(before, ast.Assign) and isinstance(before.targets[0], ast.Name) and isinstance(after, ast.Expr):
            found[before.targets[0].id] = str(ast.literal_eval(after.value))
    return found


def control_endpoints() -> str:
    """The simulator's own endpoints: the table of routes in the source, and the docstrings of what it names."""
    tree = ast.parse(inspect.getsource(control))
    described = {
        node.name: ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)
    }
    rows = []
    for node in ast.walk(tree):
        match node:
            case ast.Tuple(
                elts=[ast.Constant(value=str(path)), ast.Constant(value=str(verb)), ast.Attribute(attr=name)]
            ):
                rows.append((f"{verb} `{control.PREFIX}{path}`", _prose(_one_line(described[name]))))
    return "\n" + table(("Request", "What it does"), iter(rows)) + "\n"


def schema() -> str:
    """The tables as a new database holds them."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(write_sample_history(Path(folder)))
        try:
            query = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL ORDER BY rowid"
            statements = [sql for (sql,) in connection.execute(query)]
        finally:
            connection.close()
    return "\n```sqlite\n" + "\n".join(f"{statement.strip()};\n" for statement in statements) + "```\n\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


GENERATORS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings,
    "secrets": secrets,
    "commands": commands,
    "report fields": report_fields,
    "metrics": metrics,
    "metric families": metric_families,
    "endpoints": endpoints,
    "prometheus": prometheus,
    "faults": faults,
    "control endpoints": control_endpoints,
    "schema": schema,
    "views": datasette.view_columns,
    "canned queries": datasette.questions,
    "api agents": api_examples.agents_example,
    "api events": api_examples.events_example,
    "api parameters": api_examples.parameters,
    "api reports": api_examples.reports_example,
}
"""What makes each generated region, by the name that its page gives it."""


def main() -> None:
    """Rewrite what is generated and the output of the examples, in every page."""
    with Examples() as examples:
        for path in documents():
            before = read(path)
            after = made_anew(examples.run_again(with_regions(before, GENERATORS)))
            if after != before:
                path.write_text(after, encoding="utf-8")
                print(f"rewrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
