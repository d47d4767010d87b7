"""The examples of the documentation are run: commands, SQL, queries, and the way to a real account."""

import asyncio
import json
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.history.reports import REPORTS
from tests.support.children import child
from tests.support.cli import run, simulator
from tests.support.documents import ROOT, commands, documents, fences, read, section
from tests.support.examples import Examples, queries, queries_with_rows
from tests.support.programs import promtool

README = read(ROOT / "README.md")
CLI = read(ROOT / "docs" / "cli.md")
DATABASE = read(ROOT / "docs" / "database.md")


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    with Examples() as running:
        yield running


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_say_what_stands_there(page: Path, examples: Examples) -> None:
    assert examples.run_again(read(page)) == read(page), "run `make docs`"


def test_the_readme_names_each_report_and_shows_some() -> None:
    text = section(README, "Reports")
    named = {name for cell in re.findall(r"(?m)^\| (`.*?) \|", text) for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(REPORTS)
    assert len(set(re.findall(r"(?m)^\$ zohovoice-exporter history (\w+)", text))) >= 5


def test_each_report_has_an_example_of_its_json_in_the_reference() -> None:
    shown = re.findall(r"(?m)^\$ zohovoice-exporter history (\w+) .*--format json$", CLI)
    assert set(shown) == set(REPORTS)


# --- JSON -------------------------------------------------------------------------------------------------------------

SHAPE = re.compile(r"(?s)<!-- shape: (?P<arguments>[^\n]+) -->\n```json\n(?P<body>.*?)```")


def agree(printed: Mapping[str, object], documented: Mapping[str, object]) -> bool:
    """Whether two objects have the same keys in the same order, and values of one type; null fits every type."""
    types = [
        (type(printed[key]), type(documented.get(key)))
        for key in printed
        if printed[key] is not None and documented.get(key) is not None
    ]
    return list(printed) == list(documented) and all(one is other for one, other in types)


def test_the_examples_of_json_have_the_shape_that_the_program_prints(examples: Examples) -> None:
    found = list(SHAPE.finditer(CLI))
    database = {"ZOHOVOICE_DB": str(examples.database)}
    assert [match["arguments"].split()[:2] for match in found] == [
        ["status", "get"],
        ["agents", "list"],
        ["history", "check"],
    ]
    for match in found:
        done = run(*shlex.split(match["arguments"]), env={**examples.credentials, **database})
        assert done.code == 0, done.err
        printed, documented = json.loads(done.out), json.loads(match["body"])
        assert agree(printed["meta"], documented["meta"])
        for row in documented["rows"]:
            assert agree(printed["rows"][0], row)


def test_the_checks_that_are_documented_are_made_and_say_such_things(examples: Examples) -> None:
    done = run("history", "check", "--db", str(examples.database), "--format", "json")
    printed = {row["check"]: row for row in json.loads(done.out)["rows"]}
    (body,) = (match["body"] for match in SHAPE.finditer(CLI) if match["arguments"].startswith("history check"))
    for row in json.loads(body)["rows"]:
        found = printed[row["check"]]
        assert (row["result"], without_figures(row["detail"])) == (found["result"], without_figures(found["detail"]))


def without_figures(text: str) -> str:
    """`text` without instants, ages, sizes and counts."""
    return re.sub(r"(\d+[dhms])+|[0-9][0-9T:.Z-]*", "#", text)


def test_an_agent_with_an_error_has_the_row_that_is_documented(examples: Examples) -> None:
    done = run("status", "get", "123", "--format", "json", env=examples.credentials)
    assert done.code == 1
    (printed,) = json.loads(done.out)["rows"]
    documented = json.loads(next(SHAPE.finditer(CLI))["body"])["rows"][1]
    assert agree(printed, documented)
    assert (printed["status"], printed["error"]) == (documented["status"], documented["error"])


def reported(examples: Examples, name: str) -> Any:
    """A report on the sample history that needs every key: its end lies in the future."""
    window = ["2025-03-04T11:45"] if name == "at" else ["--since", "2025-03-04T09:00", "--until", "9999-01-01"]
    if name not in ("at", "coverage"):
        window += ["--hours", "00:00-24:00"]
    if name == "intervals":
        window += ["--step", "24h"]
    done = run("history", name, *window, "--db", str(examples.database), "--format", "json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def described(heading: str) -> set[str]:
    """The names in the first column of the table whose heading cell is that."""
    table = CLI.partition(f"\n| {heading} | Meaning |\n| --- | --- |\n")[2].partition("\n\n")[0]
    return {name for line in table.splitlines() for name in re.findall("`([a-z_]+)`", line.split(" | ")[0])}


def test_every_field_of_every_report_is_described_and_nothing_else(examples: Examples) -> None:
    fields = {field for name in REPORTS for field in reported(examples, name)["rows"][0]}
    plain = {"agent_id", "name", "status", "from_status", "to_status", "duration_seconds", "coverage"}
    assert fields - plain == described("Field")


def test_every_key_of_meta_is_described_and_nothing_else(examples: Examples) -> None:
    assert {key for name in REPORTS for key in reported(examples, name)["meta"]} == described("Key")


# --- SQL and PromQL ---------------------------------------------------------------------------------------------------


def test_every_query_of_the_database_is_shown_with_its_rows() -> None:
    assert queries(DATABASE) == queries_with_rows(DATABASE)
    assert len(queries(DATABASE)) >= 4


def test_the_query_for_times_counts_what_the_summary_counts(examples: Examples) -> None:
    (query,) = [query for query in queries(DATABASE) if "sum(" in query]
    rows = examples.rows(re.sub(r"LIMIT \d+", "", query)).splitlines()[2:]
    from_sql = {(row[0], row[2]): float(row[3]) for row in (re.split(r"  +", line) for line in rows)}
    arguments = ("--since", "2025-03-04", "--until", "2025-03-05", "--team", "Sales", "--db", str(examples.database))
    done = run("history", "summary", *arguments, "--format", "json")
    from_report = {
        (str(row["agent_id"]), str(row["status"])): row["duration_seconds"]
        for row in json.loads(done.out)["rows"]
        if row["status"] != "unknown" and row["duration_seconds"]
    }
    assert from_sql == from_report
    assert len(from_sql) > 20


def test_the_query_for_breaks_names_whom_the_report_names(examples: Examples) -> None:
    (query,) = [query for query in queries(DATABASE) if "'On Break'" in query]
    from_sql = [line.split()[0] for line in examples.rows(query).splitlines()[2:]]
    arguments = ("2025-03-04T10:45:00Z", "--status", "On Break", "--db", str(examples.database), "--format", "json")
    done = run("history", "at", *arguments)
    assert sorted(from_sql) == sorted(row["agent_id"] for row in json.loads(done.out)["rows"]) != []


def test_prometheus_takes_the_queries(tmp_path: Path) -> None:
    expressions = [fence.body for fence in fences(read(ROOT / "docs" / "metrics.md"), "promql")]
    assert len(expressions) >= 6
    rules = [{"record": f"documented:query:{number}", "expr": text} for number, text in enumerate(expressions)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "documented", "rules": rules}]}), encoding="utf-8")
    checked = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stdout + checked.stderr


# --- the way to a real account ----------------------------------------------------------------------------------------


def test_the_five_minutes_lead_to_a_running_exporter(tmp_path: Path) -> None:
    text = section(README, "Five minutes with a real account")
    (configuration,) = fences(text, "yaml")
    exchange, serve = (
        shlex.split(line)[1:]
        for fence in fences(text, "sh")
        for line in commands(fence.body)
        if line.startswith("zohovoice-exporter ")
    )
    with simulator(agents=16) as zoho, chdir(tmp_path):
        addresses = {"ZOHOVOICE_API_URL": zoho.url, "ZOHOVOICE_API_ACCOUNTS_URL": zoho.url}
        Path("zohovoice.yml").write_text(
            re.sub(r"1000\.X+", zoho.credentials.client_id, configuration.body), encoding="utf-8"
        )
        Path("secrets").mkdir(mode=0o700)
        Path("secrets/client-secret").touch(mode=0o600)
        Path("secrets/client-secret").write_text(zoho.credentials.client_secret.reveal() + "\n", encoding="utf-8")
        scopes = "ZohoVoice.agents.READ,ZohoVoice.sdk.READ"
        assert f"`{scopes}`" in text
        with urllib.request.urlopen(
            urllib.request.Request(f"{zoho.url}/-/simulator/codes?scope={scopes}", method="POST"), timeout=10
        ) as answer:
            code = json.load(answer)["code"]

        exchanged = run(*exchange, env=addresses, stdin=code + "\n")
        assert exchanged.code == 0, exchanged.err
        checked = run("check", "--config.file", "zohovoice.yml", env=addresses)
        assert checked.code == 0, checked.out

        async def serve_a_moment() -> None:
            listen = {"ZOHOVOICE_WEB_LISTEN_ADDRESS": "127.0.0.1:0"}
            async with child(*serve, env={**addresses, **listen}) as running:
                await running.until_logged("first good poll")
                modes.update((path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir())
                assert (await running.stop())[0] == 0

        modes: dict[str, int] = {}
        asyncio.run(serve_a_moment())
        modes["refresh-token"] = Path("secrets/refresh-token").stat().st_mode & 0o777
    for name in ("zohovoice.db", "zohovoice.db.lock", "zohovoice-token.json"):
        assert f"| `{name}` | 0600" in section(README, "Files and permissions")
        assert modes[name] == 0o600, name
    assert modes["refresh-token"] == modes["zohovoice.db-wal"] == modes["zohovoice.db-shm"] == 0o600
