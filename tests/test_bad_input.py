"""Bad input, end to end: one sentence that names flag, variable, file, line or column and what was expected.

In each case nothing stands on standard output, nothing is a traceback, and nothing is written, changed or lost.
"""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.cli.settings_table import SETTINGS, Shape
from exporter.history.reports import REPORTS
from exporter.history.schema import SCHEMA_VERSION
from exporter.history.writer import HistoryWriter, RunInfo
from exporter.model import AVAILABLE, BUSY, Agent, EndReason, Poll
from exporter.tracker import Pace, advance
from tests.support.cli import Done, run

START = 1_699_999_200_000
CREDENTIALS = {"ZOHOVOICE_AUTH_ACCESS_TOKEN": "1000.abc"}
CHOOSE = "choose another file with --db"


def recorded(path: Path) -> Path:
    writer = HistoryWriter.open(path, RunInfo("test", "host", "boot", 1, START))
    people = {"1001": Agent("1001", "Ann", "Sales"), "1002": Agent("1002", "Ben")}
    poll = Poll(START, START, {"1001": AVAILABLE, "1002": BUSY})
    writer.append(advance(writer.resumed, poll, people, Pace.of_interval(30_000))[1])
    writer.close(START + 1000, EndReason.SHUTDOWN)
    return path


def contents(directory: Path) -> dict[str, bytes | str]:
    """Every file below `directory` with its bytes, every other thing with its kind."""
    found: dict[str, bytes | str] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            found[str(path)] = str(path.readlink())
        else:
            found[str(path)] = path.read_bytes() if path.is_file() else "no file"
    return found


def refused(directory: Path, code: int, sentence: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run the command, and see that it is refused with this sentence and that `directory` stays as it is."""
    before = contents(directory)
    done = run(*arguments, env={**CREDENTIALS, **(env or {})})
    assert done == Done(code, "", f"zohovoice-exporter: {sentence}\n")
    assert contents(directory) == before


DURATION = "is not a duration: write it as in Prometheus, such as 30s, 5m or 1h30m"
IDS = "stands where an id is expected: decimal digits, parted by commas"
ADDRESS = "must be an address such as https://voice.zoho.com: '///' names no host"
SWITCH = "is neither true nor false"
NO_CLASS = "belongs to no class, because it says that the status is not known: leave it out"
NO_FILE = "cannot read the file {tmp}/none: No such file or directory"

# Each setting once: a wrong text, and what is said of it after the place where it stands.
WRONG: dict[str, tuple[str, str]] = {
    "api.url": ("///", f" {ADDRESS}"),
    "api.accounts-url": ("///", f" {ADDRESS}"),
    "api.timeout": ("10", f": '10' {DURATION}"),
    "api.max-requests-per-minute": ("-1", ": '-1' is not a whole number from 1 to 100000"),
    "api.agents-per-request": ("0", ": '0' is not a whole number from 1 to 1000"),
    "api.concurrency": ("9" * 5000, f": '{'9' * 60}…' is not a whole number from 1 to 100"),
    "api.proxy": (
        "proxy:3128",
        ": expected the URL of an http or https proxy, such as http://proxy.example.com:3128",
    ),
    "api.ca-file": ("{tmp}/none", f": {NO_FILE}"),
    "auth.client-id": (
        "1000 A",
        ": '1000 A' stands where one word is expected, without blanks and odd characters",
    ),
    "auth.client-secret-file": ("{tmp}/none", f": {NO_FILE}"),
    "auth.refresh-token-file": ("{tmp}/none", f": {NO_FILE}; make it with 'zohovoice-exporter auth exchange'"),
    "auth.access-token-file": ("{tmp}/none", f": {NO_FILE}"),
    "auth.token-cache": ("~nobody-here/x", ": '~nobody-here/x' begins with a home directory that does not exist"),
    "agents.ids": ("1,x", f": 'x' {IDS}"),
    "agents.zuids": ("1,,2", f": nothing {IDS}"),
    "agents.file": ("~nobody-here/x", ": '~nobody-here/x' begins with a home directory that does not exist"),
    "agents.discover": ("maybe", f": 'maybe' {SWITCH}"),
    "agents.refresh-interval": ("0s", ": '0s' must be above zero; write a duration such as 30s, 5m or 1h30m"),
    "poll.interval": ("\x1b[31m" + "x" * 80, f": '\ufffd[31m{'x' * 55}…' {DURATION}"),
    "poll.max-age": ("1s", ": 1s is shorter than the poll interval (30s), so metrics would vanish between two good "
                     "polls; make it longer"),
    "db": ("~nobody-here/x", ": '~nobody-here/x' begins with a home directory that does not exist"),
    "db.mode": ("0666", ": '0666' makes no sense for a database: use 0600, or 0640 to let a group read"),
    "history.retention": ("30m", ": '30m' is shorter than an hour; write how long to keep history, such as 90d or 2y"),
    "classes.handling": ("On Call,absent", f": 'absent' {NO_CLASS}"),
    "classes.available": ("unknown", f": 'unknown' {NO_CLASS}"),
    "classes.not-ready": ("error", f": 'error' {NO_CLASS}"),
    "classes.offline": ("Offline, absent", f": 'absent' {NO_CLASS}"),
    "metrics.per-agent": ("2", f": '2' {SWITCH}"),
    "metrics.agent-seconds": ("oui", f": 'oui' {SWITCH}"),
    "metrics.agent-limit": ("1e3", ": '1e3' is not a whole number from 1 to 10000000"),
    "metrics.names": ("y e s", f": 'y e s' {SWITCH}"),
    "metrics.last-seen": ("never", f": 'never' {SWITCH}"),
    "web.listen-address": (
        "localhost:" + "9" * 5000,
        f" 'localhost:{'9' * 50}…': '{'9' * 60}…' is no port, which is a number from 0 to 65535",
    ),
    "web.systemd-socket": ("tcp", f": 'tcp' {SWITCH}"),
    "web.config.file": ("~nobody-here/x", ": '~nobody-here/x' begins with a home directory that does not exist"),
    "web.telemetry-path": (
        "/metrics/",
        ": '/metrics/' cannot be served: write a path such as /metrics, with words between slashes",
    ),
    "web.max-requests": ("-1", ": '-1' is not a whole number from 0 to 100000"),
    "web.disable-exporter-metrics": ("-", f": '-' {SWITCH}"),
    "web.enable-lifecycle": ("maybe", f": 'maybe' {SWITCH}"),
    "web.pages": ("sometimes", ": 'sometimes' is not one of auto, always, never"),
    "log.level": ("loud", ": 'loud' is not one of debug, info, warn, error"),
    "log.format": ("xml", ": 'xml' is not one of logfmt, json"),
}  # fmt: skip


def test_every_setting_has_a_wrong_value_here() -> None:
    assert list(WRONG) == list(SETTINGS)


def sentence_of(name: str, where: str, tmp: Path) -> str:
    said = WRONG[name][1].replace("{tmp}", str(tmp))
    if name == "web.listen-address" and where != "--web.listen-address":
        return f"{where}: --web.listen-address{said}"
    return f"{where}{said}"


def free_of(name: str, tmp: Path) -> tuple[str, ...]:
    return () if name == "db" else ("--db", str(tmp / "x.db"))


@pytest.mark.parametrize("name", [name for name in SETTINGS if SETTINGS[name].shape is not Shape.SWITCH])
def test_a_wrong_flag_is_named(name: str, tmp_path: Path) -> None:
    text = WRONG[name][0].replace("{tmp}", str(tmp_path))
    said = sentence_of(name, f"--{name}", tmp_path)
    refused(tmp_path, 2, said, "serve", f"--{name}={text}", *free_of(name, tmp_path))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_variable_is_named_with_its_flag(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    text = WRONG[name][0].replace("{tmp}", str(tmp_path))
    said = sentence_of(name, f"{setting.variable} (--{name})", tmp_path)
    env = {setting.variable: text}
    if name == "auth.access-token-file":
        env["ZOHOVOICE_AUTH_ACCESS_TOKEN"] = ""
    refused(tmp_path, 2, said, "serve", *free_of(name, tmp_path), env=env)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_key_is_named_with_file_and_line(name: str, tmp_path: Path) -> None:
    text = WRONG[name][0].replace("{tmp}", str(tmp_path)).replace("\x1b", "\\e")
    config = tmp_path / "c.yml"
    config.write_text(f'# settings\n{name}: "{text}"\n')
    env = {"ZOHOVOICE_AUTH_ACCESS_TOKEN": ""}
    said = sentence_of(name, f"{config}, line 2 ({name})", tmp_path)
    refused(tmp_path, 2, said, "serve", "--config.file", str(config), *free_of(name, tmp_path), env=env)


FILES: dict[str, tuple[str, bytes, str]] = {
    "a key that is not known": (
        "--config.file", b"poll:\n  intervall: 30s\n",
        "{path}, line 2: the key 'poll.intervall' is not known; did you mean 'poll.interval'?",
    ),
    "a configuration with NUL bytes": (
        "--config.file", b"poll:\x00\n",
        "{path}: this is not YAML: it holds a character that YAML does not allow",
    ),
    "a configuration that is not UTF-8": (
        "--config.file", b"# \xff\n", "{path}, line 1: this is not UTF-8 text: save the file as UTF-8",
    ),
    "an agent twice": (
        "--agents.file", b"id,name\n7001,Ann\n7001,Ben\n",
        "{path}, line 3, column 'id': the id 7001 stands here again; it was on line 2",
    ),
    "an id that is no number": (
        "--agents.file", b"id\nann\n",
        "{path}, line 2, column 'id': 'ann' stands where an agent id is expected: decimal digits only",
    ),
    "an agents file with NUL bytes": (
        "--agents.file", b"id\n70\x0001\n",
        "{path}, line 2, column 'id': '70\ufffd01' stands where an agent id is expected: decimal digits only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_a_mistake_in_a_file_is_named_with_its_place(what: str, tmp_path: Path) -> None:
    flag, content, sentence = FILES[what]
    path = tmp_path / ("c.csv" if flag == "--agents.file" else "c.yml")
    path.write_bytes(content)
    said = sentence.replace("{path}", str(path))
    refused(tmp_path, 2, said, "serve", flag, str(path), "--db", str(tmp_path / "x.db"))


TAKING_FILES = (
    "--config.file",
    "--agents.file",
    "--web.config.file",
    "--auth.client-secret-file",
    "--api.ca-file",
)


@pytest.mark.parametrize("flag", TAKING_FILES)
def test_a_directory_in_place_of_a_file_is_named(flag: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    said = f"{flag}: cannot read the file {folder}: Is a directory"
    refused(tmp_path, 2, said, "serve", flag, str(folder), "--db", str(tmp_path / "x.db"))


@pytest.mark.parametrize("flag", ["--config.file", "--agents.file", "--web.config.file"])
def test_a_file_that_is_not_there_is_named_with_its_flag(flag: str, tmp_path: Path) -> None:
    path = tmp_path / "none.yml"
    said = f"{flag}: cannot read the file {path}: No such file or directory"
    refused(tmp_path, 2, said, "serve", flag, str(path), "--db", str(tmp_path / "x.db"))


def test_without_credentials_no_database_is_made(tmp_path: Path) -> None:
    said = (
        "there are no credentials for Zoho Voice: give --auth.client-id, --auth.client-secret-file, "
        "--auth.refresh-token-file (or the environment variables of the same names), or a ready token with "
        "--auth.access-token-file"
    )
    refused(tmp_path, 2, said, "serve", "--db", str(tmp_path / "x.db"), env={"ZOHOVOICE_AUTH_ACCESS_TOKEN": ""})


def test_an_address_with_a_password_is_refused_without_repeating_it(tmp_path: Path) -> None:
    said = "--api.url must be an address such as https://voice.zoho.com, without user name and password"
    refused(tmp_path, 2, said, "serve", "--api.url", "user:p4ss@host", "--db", str(tmp_path / "x.db"))


# Databases that are none, or none for this program: how each is made from a good one, and what is said of it.


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()


def _without_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE song (title TEXT)")
    connection.close()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGED = (
    "and is left as it is: run zohovoice-exporter history check --db {db} to see what is damaged and "
    "zohovoice-exporter history export --db {db} to save what can be read, then restore a backup, "
    "or move the file away to begin a new history"
)
DATABASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "made by a newer version": (
        _newer,
        "the history database {db} was made by a newer version of zohovoice-exporter (its schema is 999, this program "
        f"knows {SCHEMA_VERSION}); upgrade this program or {CHOOSE}",
    ),
    "without a schema version": (
        _without_version, f"the history database {{db}} is damaged (its schema version is 0) {DAMAGED}",
    ),
    "text": (
        lambda path: path.write_text("agent,status\n" * 100),
        f"{{db}} is not an SQLite database and is left as it is; {CHOOSE}",
    ),
    "cut off": (
        lambda path: os.truncate(path, path.stat().st_size // 2),
        f"the history database {{db}} is damaged (database disk image is malformed) {DAMAGED}",
    ),
    "of another application": (
        _foreign, f"{{db}} is the database of another application and is left as it is; {CHOOSE}",
    ),
    "a directory": (_directory, f"cannot open the history database {{db}}: it is not a file; {CHOOSE}"),
    "a loop of links": (_loop, f"cannot open the history database {{db}} (Symlink loop from '{{db}}'); {CHOOSE}"),
}  # fmt: skip
READERS = (*([name] for name in REPORTS if name != "at"), ["at", "now"])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("good") / "zohovoice.db")


@pytest.fixture
def db(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(good, tmp_path / "zohovoice.db"))


@pytest.mark.parametrize("what", DATABASES)
def test_a_database_that_cannot_be_used_is_refused_and_left_as_it_is(what: str, db: Path, tmp_path: Path) -> None:
    change, sentence = DATABASES[what]
    change(db)
    said = sentence.replace("{db}", str(db))
    refused(tmp_path, 3, said, "serve", "--db", str(db), "--web.listen-address", "127.0.0.1:0")
    for command in READERS:
        refused(tmp_path, 3, said, "history", *command, "--db", str(db))
    done = run("check", "--db", str(db), env={"ZOHOVOICE_API_URL": "https://127.0.0.1:1"})
    assert done.code == 1
    assert f"FAIL  database: {said}\n" in done.out


def test_an_empty_file_is_no_history_for_a_report(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    said = f"{path} is an empty file, no history database: give another with --db"
    refused(tmp_path, 3, said, "history", "summary", "--db", str(path))


def test_a_database_that_is_not_there_is_not_made_by_a_report(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    said = f"there is no history database at {path}: give its file with --db, or record one with serve or demo"
    refused(tmp_path, 3, said, "history", "summary", "--db", str(path))


@pytest.mark.parametrize("command", [["serve", "--web.listen-address", "127.0.0.1:0"], ["history", "summary"]])
def test_a_directory_that_does_not_exist_is_named(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "none" / "x.db"
    said = f"cannot open the history database {path}: the directory {path.parent} does not exist; create it or {CHOOSE}"
    refused(tmp_path, 3, said, *command, "--db", str(path))


def test_a_database_that_is_being_written_is_refused_and_still_read(db: Path, tmp_path: Path) -> None:
    writer = HistoryWriter.open(db, RunInfo("test", "host", "boot", 1, START + 2000))
    try:
        said = (
            f"the history database {db} is being written by another zohovoice-exporter (process {os.getpid()}); stop "
            f"it first or {CHOOSE}"
        )
        refused(tmp_path, 3, said, "serve", "--db", str(db), "--web.listen-address", "127.0.0.1:0")
        assert run("history", "summary", "--db", str(db)).code == 0
        said = said.replace("zohovoice-exporter: ", "")
        fresh = run("demo", "--fresh", "--directory", str(tmp_path), "--web.listen-address", "127.0.0.1:0")
        assert fresh == Done(3, "", f"zohovoice-exporter: {said}\n")
        assert db.exists()
    finally:
        writer.close(START + 3000, EndReason.SHUTDOWN)


def as_nobody(*arguments: str) -> Done:
    """The command as a user whom permissions bind, as they do not bind the superuser."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ZOHOVOICE_")} | CREDENTIALS
    # The interpreter may lie where only the superuser can read, so everything is imported before that is given up.
    drop = (
        "import os, sys, encodings.ascii, encodings.idna, exporter.app, exporter.cli.serve, exporter.cli.history, "
        "exporter.history.reports, exporter.history.filters, exporter.report.formats\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "from exporter.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", drop, *arguments], env=env, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that another user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()


def test_a_directory_without_write_permission_is_named(reachable: Path) -> None:
    if os.geteuid() != 0:
        reachable.chmod(0o555)
    path = reachable / "x.db"
    done = as_nobody("serve", "--db", str(path), "--web.listen-address", "127.0.0.1:0")
    said = (
        f"zohovoice-exporter: cannot write the history database {path}: {path}.lock cannot be created or opened "
        f"(Permission denied); change the permissions or {CHOOSE}\n"
    )
    assert done == Done(3, "", said)
    assert list(reachable.iterdir()) == []


def test_a_database_that_may_not_be_read_is_named(reachable: Path) -> None:
    path = recorded(reachable / "x.db")
    if os.geteuid() != 0:
        path.chmod(0)
    done = as_nobody("history", "summary", "--db", str(path))
    said = (
        f"zohovoice-exporter: reading the history database {path} is not allowed to this user: run as the user of "
        "serve, or have it write the file with --db.mode 0640 for a group\n"
    )
    assert done == Done(3, "", said)


def test_a_port_in_use_is_named_and_no_database_is_made(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = (
            f"cannot listen on {address}: the port is in use by another program; choose another address with "
            "--web.listen-address"
        )
        refused(tmp_path, 1, said, "serve", "--db", str(tmp_path / "x.db"), "--web.listen-address", address)
        refused(tmp_path, 1, said, "demo", "--directory", str(tmp_path / "demo"), "--web.listen-address", address)


TIME = (
    "is not a time: write now, today, yesterday, a weekday such as monday, a duration ago such as 7d or 90m, or "
    "ISO 8601 such as 2026-07-01 or 2026-07-01T09:00"
)
ZONE = "is not a time zone: give an IANA name such as Europe/Berlin or UTC"
STATUSES = "give one of Available, Busy, On Break, On Call, Offline, absent, error, unknown"
REPORTS: list[tuple[list[str], str]] = [
    (
        ["summary", "--since", "2023-11-15", "--until", "2023-11-14", "--tz", "UTC"],
        "--since 2023-11-15 (2023-11-15T00:00:00+00:00) is after --until 2023-11-14 (2023-11-14T00:00:00+00:00): give "
        "a start that is not later than the end",
    ),
    (["summary", "--since", ""], f"--since '' {TIME}"),
    (["summary", "--until", ""], f"--until '' {TIME}"),
    (["summary", "--since", "x" * 9000], f"--since '{'x' * 60}…' {TIME}"),
    (["summary", "--since", "99999999999999y"], "--since '99999999999999y' lies outside the years 1970 to 9999"),
    (["summary", "--since", "0001-01-01"], "--since '0001-01-01' lies outside the years 1970 to 9999"),
    (["summary", "--until", "9999-12-31T23:59:59-12:00"], "--until '9999-12-31T23:59:59-12:00' lies outside the years "
     "1970 to 9999"),
    (["at", "soon"], f"TIME 'soon' {TIME}"),
    (["at", "\x1b[31m"], f"TIME '\ufffd[31m' {TIME}"),
    (["at", "9999-12-30", "--tz", "UTC"], "9999-12-30T00:00:00+00:00 lies in the future: a status can only be looked "
     "up until now"),
    (["summary", "--tz", "Mars/Olympus"], f"--tz 'Mars/Olympus' {ZONE}"),
    (["summary", "--tz", "../../etc/passwd"], f"--tz '../../etc/passwd' {ZONE}"),
    (["summary", "--tz", "z" * 9000], f"--tz '{'z' * 60}…' {ZONE}"),
    (["summary", "--status", "zz"], f"--status 'zz' is no status that this history knows: {STATUSES}"),
    (["summary", "--agent", "Zoe"], "--agent 'Zoe' matches nobody in this history: give an agent's id or name, or a "
     "pattern such as 'Ann*'"),
    (["summary", "--team", "zz"], "--team 'zz' matches no team in this history: give a team's name, or a pattern such "
     "as 'Sales*'"),
    (["summary", "--output", "{db}"], "--output: {db} is an SQLite database, which no report takes the place of; name "
     "another file"),
    (["summary", "--output", ""], "--output: . is a directory; name a file"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), REPORTS, ids=[text[:50] for _, text in REPORTS])
def test_a_wrong_question_to_the_history_is_answered_with_a_sentence(
    arguments: list[str], sentence: str, db: Path, tmp_path: Path
) -> None:
    texts = [argument.replace("{db}", str(db)) for argument in arguments]
    refused(tmp_path, 2, sentence.replace("{db}", str(db)), "history", *texts, "--db", str(db))


def test_a_report_for_a_link_or_a_pipe_does_not_take_its_place(db: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("real.csv")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("link.csv", "null"):
        assert run("history", "summary", "--db", str(db), "--output", str(tmp_path / name)) == Done(0, "", "")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("agent_id,")
    assert (tmp_path / "null").is_symlink()
    assert Path("/dev/null").is_char_device()


def test_a_demo_does_not_remove_a_database_that_it_did_not_make(db: Path, tmp_path: Path) -> None:
    for fresh in ((), ("--fresh",)):
        before = contents(tmp_path)
        done = run("demo", "--directory", str(tmp_path), "--web.listen-address", "127.0.0.1:0", *fresh)
        assert done == Done(
            1,
            "",
            f"zohovoice-exporter: the database {db} was not made by a demo and is left as it is; choose another place "
            "with --directory\n",
        )
        assert contents(tmp_path) == before


SHELL = {
    "a full disk": ("history summary --db {db} > /dev/full", 1),
    "a reader that has gone": ("history summary --db {db} | head -0", 0),
    "closed output": ("history summary --db {db} >&-", 0),
    "closed errors": ("history summary --db {tmp}/none.db 2>&-", 3),
    "closed input": ("status set Busy <&-", 1),
    "bytes that are no text": ("history summary --db {db} --since $'\\xff'", 2),
    "no home, no locale, no terminal": ("history summary --db {db} --format table > /dev/null", 0),
}


@pytest.mark.parametrize("what", SHELL)
def test_odd_surroundings_bring_no_traceback(what: str, db: Path, tmp_path: Path) -> None:
    line, code = SHELL[what]
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TERM": "dumb", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m exporter {line.format(db=db, tmp=tmp_path)}"],
        env={**env, **CREDENTIALS},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == (0 if code == 0 or what == "closed errors" else 1)
