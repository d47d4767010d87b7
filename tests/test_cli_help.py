"""What the command line says of itself: at once, completely, and with the same exit codes everywhere."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import __version__
from exporter.cli.main import COMMANDS
from exporter.cli.settings_table import CONFIG_FILE, SETTINGS
from tests.support.cli import run

GROUPS = {
    "history": (
        *("timeline", "summary", "at", "sessions", "intervals", "occupancy", "availability", "transitions", "matrix"),
        *("long", "coverage", "check", "backup", "purge", "rebuild", "export", "import", "compact"),
    ),
    "status": ("get", "set", "override"),
    "agents": ("list",),
    "auth": ("exchange", "show", "revoke"),
}
ALL = [
    (),
    *((name,) for name in COMMANDS),
    *((group, name) for group, names in GROUPS.items() for name in names),
]


def test_the_commands_are_those_of_the_design() -> None:
    assert set(COMMANDS) == {"serve", "demo", "simulate", "check", "auth", "status", "agents", "history"}


@pytest.mark.parametrize("command", ALL, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help(command: tuple[str, ...], flag: str) -> None:
    done = run(*command, flag)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: {' '.join(('zohovoice-exporter', *command))}")


def test_the_top_help_lists_every_command_with_a_sentence() -> None:
    out = run("--help").out
    for name, (_, line) in COMMANDS.items():
        assert f"\n  {name} " in out
        assert line.endswith(".")


@pytest.mark.parametrize("group", GROUPS)
def test_the_help_of_a_group_lists_its_commands(group: str) -> None:
    out = run(group, "--help").out
    assert [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines()] == list(GROUPS[group])


def test_serve_takes_every_setting_and_its_help_names_flag_variable_and_default() -> None:
    out = " ".join(run("serve", "--help").out.split())
    for setting in (*SETTINGS.values(), CONFIG_FILE):
        assert f" {setting.flag} " in out
        assert f"[{setting.variable}]" in out
        if setting.default not in (None, "true", "false"):
            assert f"Default: {setting.default}. [{setting.variable}]" in out


def modules_after(*arguments: str) -> set[str]:
    program = (
        f"import sys; sys.argv = {['zohovoice-exporter', *arguments]!r}; from exporter.__main__ import main; "
        "main(); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_the_top_help_imports_click_and_nothing_of_weight(arguments: tuple[str, ...]) -> None:
    empty = (
        "import sys, click; click.Group('x').main(['--help'], standalone_mode=False); "
        "print(*sys.modules, file=sys.stderr)"
    )
    bare = subprocess.run([sys.executable, "-c", empty], capture_output=True, text=True, check=True)
    assert modules_after(*arguments) - set(bare.stderr.split()) == {
        "exporter",
        "exporter.__main__",
        "exporter.cli",
        "exporter.cli.lazy",
        "exporter.cli.main",
        "exporter.errors",
    }


@pytest.mark.parametrize("group", ["history", "status", "auth", "agents"])
def test_the_help_of_a_group_loads_neither_http_nor_database_nor_tables(group: str) -> None:
    loaded = modules_after(group, "--help")
    assert not loaded & {
        "httpx",
        "sqlite3",
        "sqlite_utils",
        "rich",
        "jinja2",
        "starlette",
        "uvicorn",
        "prometheus_client",
    }


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").out == f"zohovoice-exporter {__version__}\n"


def test_a_mistyped_command_is_wrong_usage_and_answered_with_the_nearest_one() -> None:
    done = run("histroy")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith("Error: There is no command 'histroy'. Did you mean 'history'?\n")


def test_an_unknown_flag_is_wrong_usage() -> None:
    assert run("serve", "--poll.intervall", "3s").code == 2


def test_a_mistake_is_one_sentence_on_stderr_with_the_name_of_the_program() -> None:
    done = run("serve", "--poll.interval", "0s")
    assert done == type(done)(
        2,
        "",
        "zohovoice-exporter: --poll.interval: '0s' must be above zero; write a duration such as 30s, 5m or 1h30m\n",
    )


def test_a_mistake_stays_one_line_and_cannot_steer_the_terminal() -> None:
    done = run("history", "summary", "--db", "/nowhere/\x1b[31m\nx.db")
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err


def test_a_secret_flag_that_does_not_exist_does_not_repeat_what_was_given() -> None:
    done = run("serve", "--auth.client-secret=hunter2")
    assert done.code == 2
    assert "hunter2" not in done.err


def test_python_m_exporter_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "exporter", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"zohovoice-exporter {__version__}\n"


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "--help"], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk_behind_standard_output_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "exporter", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == (
        "zohovoice-exporter: the answer could not be written whole: No space left on device; make room\n"
    )


@pytest.mark.parametrize("command", [("status", "set", "Busy"), ("auth", "revoke")])
def test_a_closed_standard_input_is_nobody_who_can_agree(command: tuple[str, ...], tmp_path: Path) -> None:
    script = '"$@" <&-'  # as under some service managers
    program = [sys.executable, "-m", "exporter", *command, "--db", str(tmp_path / "x.db")]
    secrets = {f"ZOHOVOICE_AUTH_{name}": "sesame" for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")}
    done = subprocess.run(
        ["sh", "-c", script, "sh", *program],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("zohovoice-exporter: nothing was done, for this asks first")
    assert done.stderr.count("\n") == 1


def interrupted(process: "subprocess.Popen[bytes]") -> int | None:
    """Press Ctrl-C until it is noticed: one that comes the moment before the program waits for input goes unheard."""
    for _ in range(100):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.3)
    process.kill()
    return None


def test_ctrl_c_at_a_question_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    terminal, other = os.openpty()
    environment = {
        **os.environ,
        "ZOHOVOICE_AUTH_CLIENT_ID": "id",
        "ZOHOVOICE_AUTH_CLIENT_SECRET": "secret",
        "ZOHOVOICE_AUTH_REFRESH_TOKEN": "token",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "exporter", "auth", "revoke"],
        stdin=other,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(other)
        assert process.stderr is not None
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(process.stderr.fileno(), 1000)
        code = interrupted(process)
        rest = process.stderr.read()
    assert code == 130
    os.close(terminal)
    assert b"Traceback" not in seen + rest
