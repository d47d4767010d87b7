"""The commands that talk to Zoho, against the simulator over real HTTP: status, agents, auth, check and simulate."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from exporter.cli.auth import _secret_file
from exporter.errors import ExporterError
from exporter.secret import Secret
from exporter.simulator.faults import Fault, FaultKind
from exporter.simulator.server import RunningSimulator
from tests.support.cli import Done, environment, run, simulator


@pytest.fixture(scope="module")
def zoho() -> Iterator[RunningSimulator]:
    with simulator() as running:
        yield running


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "cache.json"


@pytest.fixture
def env(zoho: RunningSimulator, cache: Path) -> Iterator[dict[str, str]]:
    yield {**environment(zoho), "ZOHOVOICE_AUTH_TOKEN_CACHE": str(cache)}
    zoho.switchboard.clear(None)


def rows(done: Done) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(done.out)))


def ids(zoho: RunningSimulator, count: int) -> list[str]:
    return [agent.agent_id for agent in zoho.simulation.agents][:count]


def word(zoho: RunningSimulator, agent_id: str) -> str:
    return zoho.simulation.status_at(agent_id, zoho.simulation.now_ms())


def writes(zoho: RunningSimulator) -> int:
    return zoho.received.total("set_status") + zoho.received.total("override_statuses")


class TestGet:
    def test_without_an_agent_it_is_the_own_status(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        done = run("status", "get", env=env)
        own = ids(zoho, 1)[0]
        assert (done.code, done.err) == (0, "")
        assert rows(done) == [{"agent_id": own, "name": "", "status": word(zoho, own), "error": ""}]

    def test_more_agents_than_fit_one_request_are_asked_for_in_several(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        wanted = ids(zoho, 7)
        done = run("status", "get", *wanted, "--api.agents-per-request", "3", env=env)
        assert done.code == 0
        assert [row["agent_id"] for row in rows(done)] == wanted

    def test_an_agent_that_zoho_does_not_know_is_an_error_row_and_exit_code_1(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        wanted = ids(zoho, 1)[0]
        done = run("status", "get", wanted, "999", "--format", "json", env=env)
        assert (done.code, done.err) == (1, "1 of 2 agents have no status in Zoho's answer\n")
        assert json.loads(done.out)["meta"]["report"] == "status get"
        assert json.loads(done.out)["rows"][1] == {
            "agent_id": "999",
            "name": None,
            "status": "error",
            "error": "Invalid agent.",
        }

    def test_an_agent_that_the_answer_leaves_out_is_absent(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        zoho.switchboard.set("statuses", Fault(FaultKind.MISSING_ROWS, count=1))
        done = run("status", "get", *ids(zoho, 2), env=env)
        assert done.code == 1
        assert sorted(row["status"] for row in rows(done))[-1] == "absent"

    def test_zuids_are_answered_with_agent_ids_and_names_come_on_request(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        agent = zoho.simulation.agents[3]
        done = run("status", "get", "--zuids", str(agent.zuid), "--names", env=env)
        assert done.code == 0
        assert [(row["agent_id"], row["name"]) for row in rows(done)] == [(agent.agent_id, agent.name)]

    def test_a_fault_of_zoho_is_one_sentence_and_exit_code_1(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        zoho.switchboard.set("own_status", Fault(FaultKind.REDIRECT, url="http://127.0.0.1:1/"))
        done = run("status", "get", env=env)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("zohovoice-exporter: reading the own status")
        assert done.err.count("\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["12a"], "AGENT: '12a' stands where an id is expected: decimal digits, parted by commas"),
            (["1", "1"], "AGENT: the id 1 is named twice"),
            (["--zuids"], "--zuids: name at least one Zoho account id"),
        ],
    )
    def test_wrong_agents_are_named(self, arguments: list[str], message: str) -> None:
        assert run("status", "get", *arguments) == Done(2, "", f"zohovoice-exporter: {message}\n")


class TestWrites:
    def test_the_own_status_is_set_with_yes(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        for wanted in ("Busy", "On Break"):
            done = run("status", "set", wanted.lower(), "--yes", env=env)
            assert done == Done(0, "", f"your own status was set to {wanted}\n")
            assert word(zoho, ids(zoho, 1)[0]) == wanted

    def test_without_a_terminal_and_without_yes_nothing_is_done(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        agent = ids(zoho, 5)[4]
        before = writes(zoho)
        for arguments in (["set", "Offline"], ["override", "Offline", agent]):
            done = run("status", *arguments, env=env, stdin="y\n")
            assert (done.code, done.out) == (1, "")
            assert "nothing was done" in done.err
            assert "--yes" in done.err
        assert writes(zoho) == before

    def test_an_override_says_what_became_of_each_agent(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        wanted = ids(zoho, 12)[10:]
        done = run("status", "override", "On Break", *wanted, "999", "--yes", "--api.agents-per-request", "2", env=env)
        assert done.code == 1
        assert [(row["agent_id"], row["status"]) for row in rows(done)] == [
            (wanted[0], "On Break"),
            (wanted[1], "On Break"),
            ("999", ""),
        ]
        assert rows(done)[2]["error"] != ""
        assert done.err == "1 of 3 agents were not set to On Break\n"
        assert [word(zoho, agent_id) for agent_id in wanted] == ["On Break", "On Break"]

    def test_an_override_that_fails_half_way_tells_what_was_done_before(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        wanted = ids(zoho, 16)[13:]
        # With 0.5 every second request is hit.
        zoho.switchboard.set("override_statuses", Fault(FaultKind.SERVER_ERROR, factor=0.5))
        done = run("status", "override", "Busy", *wanted, "--yes", "--api.agents-per-request", "1", env=env)
        assert done.code == 1
        assert [row["status"] for row in rows(done)] == ["Busy", "", ""]
        assert rows(done)[2]["error"] == "not tried, for a request before it failed"

    @pytest.mark.parametrize("wanted", ["On Call", "Lunch", ""])
    @pytest.mark.parametrize("command", [["set"], ["override"]])
    def test_a_status_that_cannot_be_set_is_refused_before_anybody_is_asked(
        self, command: list[str], wanted: str
    ) -> None:
        agents = ["1"] if command == ["override"] else []
        done = run("status", *command, wanted, *agents, "--yes")
        assert done.code == 2
        assert done.err == (
            f"zohovoice-exporter: STATUS: '{wanted}' is not a status that Zoho lets be set; "
            "use one of 'Available', 'Busy', 'On Break', 'Offline'\n"
        )

    def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        before = writes(zoho)
        code, err = on_terminal(["status", "set", "Offline"], b"n\n", env)
        assert code == 1
        assert "Set your own status to Offline? [y/N]:" in err
        assert err.endswith("zohovoice-exporter: nothing was done\n")
        assert writes(zoho) == before

    def test_on_a_terminal_it_asks_and_takes_yes_for_an_answer(
        self, zoho: RunningSimulator, env: dict[str, str]
    ) -> None:
        agent = ids(zoho, 20)[19]
        code, err = on_terminal(["status", "override", "Busy", agent], b"y\n", env)
        assert code == 0
        assert f"Set the status of agent {agent} to Busy? [y/N]:" in err
        assert word(zoho, agent) == "Busy"


def on_terminal(arguments: list[str], typed: bytes, env: dict[str, str]) -> tuple[int, str]:
    terminal, other = os.openpty()
    os.write(terminal, typed)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", *arguments],
            stdin=other,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(other)
    return done.returncode, done.stderr


class TestAgents:
    def test_the_roster_is_listed_with_status_and_team(self, zoho: RunningSimulator, env: dict[str, str]) -> None:
        done = run("agents", "list", env=env)
        assert done.code == 0
        assert [(row["agent_id"], row["name"], row["team"]) for row in rows(done)] == [
            (agent.agent_id, agent.name, agent.team) for agent in zoho.simulation.agents
        ]


class TestAuth:
    def exchanged(self, zoho: RunningSimulator, path: Path, env: dict[str, str], *more: str, stdin: str = "") -> Done:
        variables = {name: value for name, value in env.items() if "REFRESH" not in name}
        return run("auth", "exchange", "--auth.refresh-token-file", str(path), *more, env=variables, stdin=stdin)

    def test_a_code_from_standard_input_becomes_a_refresh_token_in_a_file_of_mode_0600(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        path, code = tmp_path / "refresh", zoho.new_code()
        done = self.exchanged(zoho, path, env, stdin=f"{code}\n")
        assert (done.code, done.out) == (0, "")
        assert done.err == f"the refresh token was written to {path}; the command check tells whether it works\n"
        assert path.stat().st_mode & 0o777 == 0o600
        token = path.read_text().strip()
        assert token
        assert token not in done.err
        variables = {**env, "ZOHOVOICE_AUTH_REFRESH_TOKEN": "", "ZOHOVOICE_AUTH_REFRESH_TOKEN_FILE": str(path)}
        variables["ZOHOVOICE_AUTH_TOKEN_CACHE"] = str(tmp_path / "cache")
        assert run("status", "get", env=variables).code == 0

    def test_a_code_works_once_and_a_refused_one_changes_no_file(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        path, code_file = tmp_path / "refresh", tmp_path / "code"
        code_file.write_text(zoho.new_code())
        assert self.exchanged(zoho, path, env, "--code-file", str(code_file)).code == 0
        kept = path.read_text()
        assert self.exchanged(zoho, path, env, "--code-file", str(code_file)).code == 1  # asks, with no terminal
        done = self.exchanged(zoho, path, env, "--code-file", str(code_file), "--yes")
        assert done.code == 1
        assert "invalid_code" in done.err
        assert code_file.read_text() not in done.err
        assert path.read_text() == kept
        assert sorted(item.name for item in tmp_path.iterdir()) == ["code", "refresh"]

    def test_a_directory_that_cannot_be_written_is_found_before_the_code_is_used_up(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        code = zoho.new_code()
        done = self.exchanged(zoho, tmp_path / "missing" / "refresh", env, stdin=code)
        assert done.err == (
            f"zohovoice-exporter: --auth.refresh-token-file: cannot write into {tmp_path / 'missing'}: "
            "No such file or directory\n"
        )
        assert self.exchanged(zoho, tmp_path / "refresh", env, stdin=code).code == 0

    def test_a_directory_in_place_of_the_file_is_found_before_the_code_is_used_up(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        code = zoho.new_code()
        done = self.exchanged(zoho, tmp_path, env, "--yes", stdin=code)
        assert (done.code, done.err) == (
            2,
            f"zohovoice-exporter: --auth.refresh-token-file: {tmp_path} is a directory; name a file\n",
        )
        assert self.exchanged(zoho, tmp_path / "refresh", env, stdin=code).code == 0

    def test_a_file_that_becomes_a_directory_meanwhile_is_one_sentence_and_leaves_no_token_behind(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "refresh"
        said = r"cannot write .*refresh: Is a directory; .* make a new code"
        with _secret_file(path) as write:
            path.mkdir()
            with pytest.raises(ExporterError, match=said):
                write(Secret("1000.token"))
        assert list(tmp_path.iterdir()) == [path]

    def test_a_throttle_that_an_exchange_meets_is_remembered_for_serve(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        env["ZOHOVOICE_AUTH_TOKEN_CACHE"] = str(tmp_path / "cache")
        zoho.switchboard.set("token", Fault(FaultKind.ACCESS_TOKEN_LIMIT), times=1)
        done = self.exchanged(zoho, tmp_path / "refresh", env, stdin=zoho.new_code())
        assert (done.code, "Zoho throttles; try again in 600 s" in done.err) == (1, True)
        asked = zoho.received.total("token")
        assert "Zoho throttles, so no request is made for" in run("status", "get", env=env).err
        assert zoho.received.total("token") == asked

    def test_a_code_on_the_command_line_is_refused_and_not_repeated(self) -> None:
        done = run("auth", "exchange", "1000.hunter2")
        assert done.code == 2
        assert "hunter2" not in done.err
        assert "must not stand on the command line" in done.err

    @pytest.mark.parametrize("missing", ["CLIENT_ID", "CLIENT_SECRET"])
    def test_what_is_missing_is_named(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path, missing: str
    ) -> None:
        without = {name: value for name, value in env.items() if not name.endswith(missing)}
        done = self.exchanged(zoho, tmp_path / "refresh", without, stdin="code\n")
        assert done.code == 2
        assert f"--auth.{missing.lower().replace('_', '-')}" in done.err

    def test_show_says_where_secrets_come_from_and_shows_none(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        assert run("status", "get", env=env).code == 0
        secret = tmp_path / "client-secret"
        secret.write_text(zoho.credentials.client_secret.reveal())
        secret.chmod(0o600)
        variables = {**env, "ZOHOVOICE_AUTH_CLIENT_SECRET": "", "ZOHOVOICE_AUTH_CLIENT_SECRET_FILE": str(secret)}
        done = run("auth", "show", env=variables)
        states = {row["item"]: row["state"] for row in rows(done)}
        assert done.code == 0
        assert states["client-secret-file"] == f"in {secret} (mode 0600)"
        assert states["refresh-token-file"] == "in ZOHOVOICE_AUTH_REFRESH_TOKEN"
        assert states["access-token-file"] == "not set"
        assert states["access token"].startswith("valid until ")
        for hidden in (zoho.credentials.client_secret, zoho.credentials.admin):
            assert hidden.reveal() not in done.out + done.err
        assert json.loads(Path(env["ZOHOVOICE_AUTH_TOKEN_CACHE"]).read_text())["token"]["access_token"] not in done.out

    def test_revoke_makes_the_refresh_token_invalid(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        path = tmp_path / "refresh"
        assert self.exchanged(zoho, path, env, stdin=zoho.new_code()).code == 0
        variables = {**env, "ZOHOVOICE_AUTH_REFRESH_TOKEN": "", "ZOHOVOICE_AUTH_REFRESH_TOKEN_FILE": str(path)}
        variables["ZOHOVOICE_AUTH_TOKEN_CACHE"] = str(tmp_path / "cache")
        assert run("auth", "revoke", env=variables).code == 1  # asks, with no terminal
        done = run("auth", "revoke", "--yes", env=variables)
        assert done == Done(0, "", f"the refresh token was revoked; remove the file {path}\n")
        refused = run("status", "get", env=variables)
        assert refused.code == 1
        assert "invalid_code" in refused.err


class TestCheck:
    def test_each_question_gets_a_line_and_all_is_well(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        done = run("check", "--db", str(tmp_path / "x.db"), env=env)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines() == [
            "ok    configuration: every setting makes sense; metrics would be served at :10042",
            f"ok    database: {tmp_path / 'x.db'} will be made",
            "ok    credentials: there is an access token",
            "ok    roster: 60 agents; 2 other users are left out",
            "ok    pace: 60 agents fit a poll every 30s",
            "ok    status: of 50 agents asked for, 50 have a status, 0 an error, 0 none",
        ]
        assert not (tmp_path / "x.db").exists()

    def test_a_refused_refresh_fails_and_what_needs_a_token_is_skipped(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        variables = {**env, "ZOHOVOICE_AUTH_REFRESH_TOKEN": "wrong", "ZOHOVOICE_AUTH_TOKEN_CACHE": str(tmp_path / "c")}
        done = run("check", "--db", str(tmp_path / "x.db"), env=variables)
        lines = done.out.splitlines()
        assert done.code == 1
        assert lines[2].startswith("FAIL  credentials: asking for an access token: Zoho refuses with 'invalid_code'")
        assert lines[3] == "skip  roster and status: they need an access token"

    def test_a_missing_scope_fails_and_the_others_are_still_checked(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        zoho.switchboard.set("users", Fault(FaultKind.SCOPE_MISSING))
        agent = ids(zoho, 1)[0]
        done = run("check", "--db", str(tmp_path / "x.db"), "--agents.ids", agent, "--agents.discover", env=env)
        assert done.code == 1
        assert "FAIL  roster: reading the roster" in done.out
        assert "ZohoVoice.agents.READ" in done.out
        assert "ok    status: of 1 agents asked for, 1 have a status, 0 an error, 0 none" in done.out

    def test_wrong_configuration_is_the_only_line(self, tmp_path: Path) -> None:
        done = run("check", "--poll.interval", "often")
        assert done.code == 1
        assert done.out.startswith("FAIL  configuration: --poll.interval: 'often' is not a duration")
        assert done.out.count("\n") == 1

    def test_without_credentials_it_says_which_flags_to_give(self, tmp_path: Path) -> None:
        done = run("check", "--db", str(tmp_path / "x.db"))
        assert done.code == 1
        assert "FAIL  credentials: " in done.out
        assert "--auth.client-id" in done.out

    def test_a_directory_that_is_not_there_fails_the_database(self, tmp_path: Path) -> None:
        done = run("check", "--db", str(tmp_path / "no" / "x.db"))
        assert f"FAIL  database: the directory {tmp_path / 'no'} is not there; make it, or change --db" in done.out

    def test_a_file_that_is_no_database_fails(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").write_text("not a database at all, but long enough to be one" * 10)
        assert "FAIL  database: " in run("check", "--db", str(tmp_path / "x.db")).out

    def test_an_agents_file_with_a_mistake_fails(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("id\nx\n")
        done = run("check", "--db", str(tmp_path / "x.db"), "--agents.file", str(tmp_path / "a.csv"))
        assert f"FAIL  agents file: {tmp_path / 'a.csv'}, line 2, column 'id'" in done.out

    def test_more_agents_than_the_limit_allows_are_noted(
        self, zoho: RunningSimulator, env: dict[str, str], tmp_path: Path
    ) -> None:
        done = run("check", "--db", str(tmp_path / "x.db"), "--api.agents-per-request", "1", env=env)
        assert done.code == 0
        assert (
            "note  pace: 60 agents would be polled every 2m instead of 30s, to stay within 30 requests a minute; "
            "raise --api.max-requests-per-minute or --api.agents-per-request if Zoho allows it"
        ) in done.out


class TestSimulate:
    def test_it_prints_variables_that_the_other_commands_understand_and_stops_on_sigterm(self, tmp_path: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "exporter", "simulate", "--agents", "3", "--fault", "users:html"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(8)]
            env = dict(
                line.removeprefix("export ").strip().split("=", 1) for line in lines if line.startswith("export")
            )
            env["ZOHOVOICE_AUTH_TOKEN_CACHE"] = str(tmp_path / "cache")
            assert run("status", "get", env=env).code == 0
            listed = run("agents", "list", env=env)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate()
            assert (process.returncode, err) == (0, "")
        assert listed.code == 1  # the fault

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--timezone", "Mars"], "--timezone 'Mars' is not a time zone"),
            (["--agents", "0"], "the simulator cannot have 0 agents"),
            (["--fault", "users"], "--fault: 'users' is no fault"),
        ],
    )
    def test_wrong_arguments_are_named(self, arguments: list[str], message: str) -> None:
        done = run("simulate", *arguments)
        assert done.code == 2
        assert done.err.startswith(f"zohovoice-exporter: {message}")
