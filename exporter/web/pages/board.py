"""The board: who is in which status now. The page holds no names itself; its script asks for them as JSON."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter.web.gate import personal
from exporter.web.pages.policy import PAGE_HEADERS
from exporter.web.pages.render import render
from exporter.web.routing import Served
from exporter.web.state import WebState

BOARD_PATH = "/board"


def board(state: WebState) -> Served:
    """The route of the page, which personal data are no part of, but which is of no use without them."""
    page = render("board.html")

    async def show(_: Request) -> Response:
        return HTMLResponse(page, headers=dict(PAGE_HEADERS))

    return Served(BOARD_PATH, "board", personal(state, show))
