"""The roster: every page, each user once, and only when the pages add up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.model import AVAILABLE
from exporter.zoho.errors import ClientError, RosterIncomplete, ServerError
from exporter.zoho.roster import RosterListing, read_roster
from exporter.zoho.rows import RosterRow
from exporter.zoho.session import Session
from tests.support.clock import FakeClock
from tests.support.http_script import Fault, Handler, Reply, Request, ScriptedServer
from tests.support.zoho import answers, ready, soon, success, with_session

NOW = 1_700_000_000_000
User = dict[str, object]


def user(number: int, **fields: object) -> User:
    return {"userid": str(9_000 + number), "agentId": str(7_000 + number), "name": f"Agent {number}", **fields}


class Users:
    """The users endpoint. `before_page` may change the users between two pages."""

    def __init__(self, users: list[User], *, base: int = 0, largest: int = 50, total: bool = True) -> None:
        self.users = users
        self.base = base
        self.largest = largest
        self.total = total
        self.asked: list[int] = []
        self.before_page: Callable[[int], None] = lambda number: None

    def __call__(self, request: Request) -> Reply:
        start = int(request.query["from"][0])
        size = min(int(request.query["offset"][0]), self.largest)
        self.before_page(len(self.asked))
        self.asked.append(start)
        first = max(0, start - self.base)
        meta = {"meta": {"total": len(self.users)}} if self.total else {}
        return Reply(success(users=self.users[first : first + size], **meta))


def read(handler: Handler, folder: Path) -> RosterListing:
    clock = FakeClock(NOW)

    async def ask(session: Session, server: ScriptedServer) -> RosterListing:
        return await read_roster(session.client, soon(clock), clock)

    return with_session(handler, ready(folder), ask, clock=clock)


def ids(listing: RosterListing) -> list[int]:
    return [int(row.agent_id) - 7_000 for row in listing.rows]


def test_a_user_becomes_a_row_with_its_department_as_team(tmp_path: Path) -> None:
    users = Users([user(1, zuid=698000001, departmentName="Sales", onlineStatus="Available")])
    row = RosterRow("7001", "698000001", "Agent 1", "Sales", AVAILABLE)
    assert read(users, tmp_path) == RosterListing((row,), 0, NOW)


@pytest.mark.parametrize(("count", "asked"), [(1, [0]), (50, [0]), (51, [0, 50]), (100, [0, 50]), (120, [0, 50, 100])])
def test_pages_are_read_until_all_users_are_there(count: int, asked: list[int], tmp_path: Path) -> None:
    users = Users([user(number) for number in range(count)])
    assert ids(read(users, tmp_path)) == list(range(count))
    assert users.asked == asked


@pytest.mark.parametrize(("count", "asked"), [(1, [0]), (49, [0]), (50, [0, 50]), (99, [0, 50])])
def test_without_a_total_a_short_page_is_the_last(count: int, asked: list[int], tmp_path: Path) -> None:
    users = Users([user(number) for number in range(count)], total=False)
    assert ids(read(users, tmp_path)) == list(range(count))
    assert users.asked == asked


@pytest.mark.parametrize("count", [1, 50, 51, 100, 101, 149])
def test_an_index_that_counts_from_one_misses_nobody(count: int, tmp_path: Path) -> None:
    assert ids(read(Users([user(number) for number in range(count)], base=1), tmp_path)) == list(range(count))


def test_a_server_with_smaller_pages_misses_nobody(tmp_path: Path) -> None:
    users = Users([user(number) for number in range(60)], largest=25)
    assert ids(read(users, tmp_path)) == list(range(60))
    assert users.asked == [0, 25, 50]


def test_users_that_are_no_agents_are_left_out_and_counted(tmp_path: Path) -> None:
    users = Users([user(1), user(2, agentId=None), user(3, agentId=""), {"userid": "5", "name": "x"}, user(6)])
    listing = read(users, tmp_path)
    assert ids(listing) == [1, 6]
    assert listing.rows_ignored == 3


def test_users_without_a_user_id_are_not_taken_for_one_user(tmp_path: Path) -> None:
    pending: list[dict[str, object]] = [{"zuid": 1, "name": "a"}, {"zuid": 2}, {"emailid": "c@example.test"}]
    listing = read(Users([user(1), *pending]), tmp_path)
    assert ids(listing) == [1]
    assert listing.rows_ignored == 3


def test_two_users_with_one_agent_id_are_one_agent(tmp_path: Path) -> None:
    listing = read(Users([user(1), user(2, agentId="7001")]), tmp_path)
    assert ids(listing) == [1]


@pytest.mark.parametrize("at", [0, 30, 50, 80])
def test_somebody_who_leaves_between_two_pages_makes_it_read_again(at: int, tmp_path: Path) -> None:
    users = Users([user(number) for number in range(100)])

    def leave(page: int) -> None:
        if page == 1:
            del users.users[at]

    users.before_page = leave
    assert ids(read(users, tmp_path)) == [number for number in range(100) if number != at]


@pytest.mark.parametrize("at", [0, 30, 50, 80])
def test_somebody_who_joins_between_two_pages_makes_it_read_again(at: int, tmp_path: Path) -> None:
    users = Users([user(number) for number in range(100)])

    def join(page: int) -> None:
        if page == 1:
            users.users.insert(at, user(555))

    users.before_page = join
    assert sorted(ids(read(users, tmp_path))) == [*range(100), 555]


def test_pages_that_never_add_up_are_given_up(tmp_path: Path) -> None:
    users = Users([user(number) for number in range(100)])
    users.before_page = lambda page: users.users.insert(0, user(1_000 + page))
    with pytest.raises(RosterIncomplete, match="do not add up to the number of users that Zoho states"):
        read(users, tmp_path)
    assert len(users.asked) < 20


@pytest.mark.parametrize("total", [0, 1, 3, 10**9])
def test_a_total_that_is_not_reached_or_passed_is_incomplete(total: int, tmp_path: Path) -> None:
    body = success(users=[user(1), user(2)], meta={"total": total})
    with pytest.raises(RosterIncomplete):
        read(answers(body), tmp_path)


@pytest.mark.parametrize("stated", [{}, {"meta": {"total": 0}}], ids=["unstated", "stated"])
def test_nobody_at_all_is_never_believed_for_the_tokens_own_user_is_one(
    stated: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(RosterIncomplete):
        read(answers(success(users=[], **stated)), tmp_path)


def test_a_server_that_sends_its_first_page_for_ever_does_not_keep_us(tmp_path: Path) -> None:
    page = [user(number) for number in range(50)]
    with pytest.raises(RosterIncomplete):
        read(answers(success(users=page, meta={"total": 500})), tmp_path)


def test_a_page_that_fails_is_tried_again(tmp_path: Path) -> None:
    users = Users([user(number) for number in range(60)])
    faults: list[Reply | Fault] = [Reply(b"", 500), Fault.RESET]

    def handle(request: Request) -> Reply | Fault:
        return faults.pop() if faults and users.asked == [0] else users(request)

    assert ids(read(handle, tmp_path)) == list(range(60))


def test_a_page_that_fails_for_good_is_the_error_of_the_roster(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="reading the roster"):
        read(answers(b"", 500), tmp_path)
    with pytest.raises(ClientError, match="reading the roster"):
        read(answers(b"", 404), tmp_path)
