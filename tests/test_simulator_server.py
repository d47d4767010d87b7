"""The simulator as a server: where it listens, how it stops, its control endpoints, and what it bears."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest

from exporter.clock import SystemClock
from exporter.errors import UsageError
from exporter.simulator.faults import Fault, FaultKind, Label, Switchboard
from exporter.simulator.received import Received, ReceivedRequest
from exporter.simulator.server import ListenError, RunningSimulator, run_simulator, serve
from tests.support.clock import FakeClock
from tests.support.simulated import MANY, NOON, OWN, Simulated, simulated, simulation

CONTROL = "/-/simulator"


def run(scenario: Callable[[Simulated], Awaitable[None]], clock: FakeClock | None = None) -> None:
    async def session() -> None:
        async with simulated(simulation(clock)) as one:
            await scenario(one)

    asyncio.run(session())


async def open_and_close(host: str, port: int = 0) -> str:
    async with run_simulator(simulation(), Switchboard(), host=host, port=port) as running, httpx.AsyncClient() as http:
        assert (await http.get(f"{running.url}{CONTROL}/now")).status_code == 200
        return running.url


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1"])
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(UsageError, match="listens on loopback only"):
        asyncio.run(open_and_close(host))


@pytest.mark.parametrize(("host", "port", "message"), [("example.test", 0, "is no address for the simulator"),
                         ("127.0.0.1", 65_536, "cannot listen on port 65536: give 0 to 65535")])  # fmt: skip
def test_an_address_that_is_none_is_refused(host: str, port: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        asyncio.run(open_and_close(host, port))


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), ("localhost", "http://127.0.0.1:"),
                         ("127.0.0.2", "http://127.0.0.2:"), ("[::1]", "http://[::1]:")])  # fmt: skip
def test_it_says_where_it_listens(host: str, start: str) -> None:
    if host == "[::1]" and not has_ipv6():
        with pytest.raises(ListenError):
            asyncio.run(open_and_close(host))
        return
    assert asyncio.run(open_and_close(host)).startswith(start)


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1 port {port} \\(Address already in use\\)"):
            asyncio.run(open_and_close("127.0.0.1", port))


def test_it_can_be_started_again_on_the_same_port_at_once() -> None:
    async def scenario() -> None:
        first = await open_and_close("127.0.0.1")
        assert await open_and_close("127.0.0.1", int(first.rpartition(":")[2])) == first

    asyncio.run(scenario())


def test_it_serves_until_it_is_told_to_stop_and_leaves_signals_alone() -> None:
    async def scenario() -> None:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(simulation(), Switchboard(), "127.0.0.1", 0, stop, ready.set_result))
        running: RunningSimulator = await ready
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{running.url}{CONTROL}/now")).status_code == 200
            stop.set()
            await serving
            with pytest.raises(httpx.TransportError):
                await http.get(f"{running.url}{CONTROL}/now")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "fault",
    [Fault(FaultKind.HANG), Fault(FaultKind.SLOW, seconds=600), Fault(FaultKind.TRICKLE, seconds=600),
     Fault(FaultKind.HUGE_BODY, megabytes=4_000)],
    ids=lambda fault: fault.kind.value,
)  # fmt: skip
def test_it_stops_within_a_second_whatever_hangs(fault: Fault) -> None:
    async def scenario() -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            async with simulated(simulation(SystemClock())) as one:
                headers = dict(one.http.headers)
                one.running.switchboard.set("own_status", fault)
                # The streams are opened and never read, so that the server's buffers fill up.
                streams = [http.stream("GET", f"{one.running.url}{OWN}", headers=headers) for _ in range(4)]
                asked = [asyncio.create_task(stream.__aenter__()) for stream in streams]
                await asyncio.sleep(0.2)
                begin = time.monotonic()
            assert time.monotonic() - begin < 1
            for result in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(result, httpx.Response):
                    await result.aclose()

    asyncio.run(scenario())


def test_it_bears_two_hundred_requests_a_second() -> None:
    async def client(one: Simulated, requests: int) -> int:
        address, port = one.running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(address, port)
        lines = [f"GET {MANY}?agentIds={one.ids(40)} HTTP/1.1", "Host: x", "Accept: */*",
                 f"Authorization: {one.http.headers['Authorization']}", "", ""]  # fmt: skip
        answered = 0
        for _ in range(requests):
            writer.write("\r\n".join(lines).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.partition("content-length: ")[2].partition("\r")[0])
            await reader.readexactly(length)
            answered += head.startswith("HTTP/1.1 200 ")
        writer.close()
        return answered

    async def scenario(one: Simulated) -> None:
        begin = time.monotonic()
        assert sum(await asyncio.gather(*(client(one, 100) for _ in range(4)))) == 400
        assert time.monotonic() - begin < 2
        assert one.running.received.total("statuses") == 400

    run(scenario)


def test_only_the_latest_requests_are_remembered_one_by_one() -> None:
    received = Received()
    for number in range(20_010):
        received.note(Label.USERS, ReceivedRequest(number, 0.0, None))
    assert received.total("users") == 20_010
    assert [one.at for one in received.requests("users")] == list(range(10, 20_010))


def test_requests_are_counted_with_their_times_and_faults() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        one.running.switchboard.set("own_status", Fault(FaultKind.HTML), times=1)
        for _ in range(2):
            await one.http.get(OWN)
            clock.pass_time(30)
        assert one.running.received.requests(Label.OWN_STATUS) == (
            ReceivedRequest(NOON, 1_000.0, FaultKind.HTML),
            ReceivedRequest(NOON + 30_000, 1_030.0, None),
        )
        told = (await one.http.get(f"{CONTROL}/requests")).json()
        assert told["own_status"] == {
            "total": 2,
            "latest": [
                {"at": NOON, "monotonic": 1_000.0, "fault": "html"},
                {"at": NOON + 30_000, "monotonic": 1_030.0, "fault": None},
            ],
        }
        assert told["users"] == {"total": 0, "latest": []}
        await one.http.delete(f"{CONTROL}/requests")
        assert one.running.received.total("own_status") == 0

    run(scenario, clock)


def test_faults_are_set_listed_and_cleared_from_another_process() -> None:
    async def scenario(one: Simulated) -> None:
        specs = "statuses:throttle-429,retry_after=20,times=3\nstatuses:reset,times=1\nusers:slow,seconds=0.5\n"
        listed = [
            {"where": "users", "times": None, "kind": "slow", "factor": 1.0, "seconds": 0.5},
            {"where": "statuses", "times": 3, "kind": "throttle-429", "factor": 1.0, "retry_after": 20},
            {"where": "statuses", "times": 1, "kind": "reset", "factor": 1.0},
        ]
        assert (await one.http.put(f"{CONTROL}/faults", content=specs)).json() == {"faults": listed}
        assert (await one.http.get(f"{CONTROL}/faults")).json() == {"faults": listed}
        left = await one.http.delete(f"{CONTROL}/faults", params={"endpoint": "statuses"})
        assert left.json() == {"faults": listed[:1]}
        assert (await one.http.delete(f"{CONTROL}/faults")).json() == {"faults": []}

    run(scenario)


def test_a_wrong_fault_is_refused_whole() -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.put(f"{CONTROL}/faults", content="users:slow\nusers:meteor")
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("'meteor' in 'users:meteor' is no fault")
        assert one.running.switchboard.active() == ()

    run(scenario)


def test_the_truth_can_be_asked_from_another_process() -> None:
    clock = FakeClock(NOON)

    async def scenario(one: Simulated) -> None:
        agent = one.simulation.agents[5]
        agents = (await one.http.get(f"{CONTROL}/agents")).json()["agents"]
        assert (agents[5]["agent_id"], agents[5]["zuid"], agents[5]["name"]) == (agent.agent_id, agent.zuid, agent.name)
        window = {"since": NOON, "until": NOON + 3_600_000}
        changes = (await one.http.get(f"{CONTROL}/agents/{agent.agent_id}/changes", params=window)).json()["changes"]
        expected = one.simulation.changes(agent.agent_id, NOON, NOON + 3_600_000)
        assert [(c["at"], c["from_word"], c["to_word"]) for c in changes] == [
            (change.at, change.from_word, change.to_word) for change in expected
        ]
        later = NOON + 60_000
        statuses = (await one.http.get(f"{CONTROL}/statuses", params={"at": f"{NOON},{later}"})).json()["statuses"]
        assert statuses == {str(at): one.simulation.statuses_at(at) for at in (NOON, later)}
        assert (await one.http.get(f"{CONTROL}/now")).json() == {"now": NOON, "speed": 1.0}

    run(scenario, clock)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/agents/123/changes?since=1&until=2", "the simulator has no agent '123'"),
        ("/agents/123/changes?since=1", "the parameter 'until' is missing"),
        ("/statuses?at=noon", "at=noon is no instant"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(path: str, message: str) -> None:
    async def scenario(one: Simulated) -> None:
        answer = await one.http.get(CONTROL + path)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(message)

    run(scenario)


def test_a_grant_code_can_be_made_from_another_process() -> None:
    async def scenario(one: Simulated) -> None:
        made = await one.http.post(f"{CONTROL}/codes", params={"user": "supervisor", "scope": "ZohoVoice.agents.READ"})
        credentials = one.running.credentials
        answer = await one.http.post(
            "/oauth/v2/token",
            data={
                "grant_type": "authorization_code",
                "code": made.json()["code"],
                "client_id": credentials.client_id,
                "client_secret": credentials.client_secret.reveal(),
            },
        )
        assert answer.json()["scope"] == "ZohoVoice.agents.READ"
        assert (await one.http.post(f"{CONTROL}/codes", params={"user": "nobody"})).status_code == 400

    run(scenario)


def test_the_coming_working_day_is_simulated_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.simulator.server._AHEAD_S", 0.04)

    async def scenario(one: Simulated) -> None:
        for _ in range(200):
            if len(one.simulation._planned._kept) == 2:
                return
            await asyncio.sleep(0.01)
        pytest.fail("the next day was not simulated")

    async def session() -> None:
        # 40 ms before the next working day: 02:00 in Berlin.
        async with simulated(simulation(FakeClock(1_760_054_400_000 - 20))) as one:
            await scenario(one)

    asyncio.run(session())


def test_everything_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        async with simulated(simulation()) as one:
            for kind in (FaultKind.RESET, FaultKind.CLOSE, FaultKind.TRUNCATED):
                one.running.switchboard.set("own_status", Fault(kind), times=1)
                with pytest.raises(httpx.TransportError):
                    await one.http.get(OWN)
                assert (await one.http.get(OWN)).status_code == 200
            one.running.switchboard.set("own_status", Fault(FaultKind.HANG))
            asked = asyncio.create_task(one.http.get(OWN))
            await asyncio.sleep(0.1)
            begin = time.monotonic()
        assert time.monotonic() - begin < 1
        with pytest.raises(httpx.TransportError):
            await asked

    uvloop.run(scenario())
