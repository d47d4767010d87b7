"""The pages as they are sent: the landing page, what goes with every page, and style and scripts from memory."""

import gzip
import html.parser
import re
from importlib import resources

import httpx
import pytest

from exporter.model import AVAILABLE, Agent
from exporter.report.palette import DARK, FIXED, LIGHT, LOOKS, OTHERS
from exporter.settings import MetricsSettings
from exporter.web.access import Access
from exporter.web.pages.static import assets
from exporter.web.pages.words import REASON_WORDS, reason_words
from exporter.zoho.errors import REASONS
from tests.support.console import PICTURE
from tests.support.metrics import Polled
from tests.support.screenshots import FOLDER, LARGEST_BYTES, SHOTS
from tests.support.web import IDENTITY, Running, with_server

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
PAGES = ("/", "/board")


class Outline(html.parser.HTMLParser):
    """Checks that elements nest, and collects what a page refers to."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not any(name == "style" or name.startswith("on") for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += f"{data} "


def outline_of(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    assert found.open == []
    return found


# --- every page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_page_lets_the_browser_load_only_what_comes_from_here_and_keep_nothing(path: str) -> None:
    async def check(server: Running) -> None:
        answer = await server.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"

    with_server(check)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_no_style_and_no_script_of_its_own_and_its_links_work_behind_a_proxy_with_a_path(
    path: str,
) -> None:
    async def check(server: Running) -> None:
        text = (await server.get(path)).text
        outline = outline_of(text)
        assert "style" not in outline.seen
        assert re.findall(r"<script[^>]*>(.*?)</script>", text) in ([], [""])
        for link in outline.links:
            assert not link.startswith(("/", "http", "//")), link
        for link in outline.links:
            if not link.startswith(("data:", "#", "timeline", "-/ready")):
                assert (await server.get(f"/{link}")).status_code == 200, link

    with_server(check)


def test_the_board_is_behind_the_gate_and_the_landing_page_says_why() -> None:
    async def check(server: Running) -> None:
        refused = await server.get("/board")
        assert (refused.status_code, refused.text) == (403, "Not here.\n")
        assert "Not here." in (await server.get("/")).text
        for name in assets().files:
            assert (await server.get(f"/static/{name}")).status_code == 200

    with_server(check, access=lambda: Access(open=False, why_not="Not here."))


def test_the_board_holds_no_names_itself() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({"17": AVAILABLE}, {"17": Agent("17", "Ann Lee", "Sales")})

    async def check(server: Running) -> None:
        text = (await server.get("/board")).text
        assert "Ann" not in text
        assert "Sales" not in text

    with_server(check, polled)


# --- the landing page -------------------------------------------------------------------------------------------------


def test_the_landing_page_says_how_polls_go_and_names_nobody() -> None:
    polled = Polled(MetricsSettings(names=True))
    polled.poll({"4711": AVAILABLE}, {"4711": Agent("4711", "Ann Lee", "Sales")})
    polled.fail("<b>tls")
    polled.instruments.token_refresh_failed("auth")

    async def check(server: Running) -> None:
        outline = outline_of((await server.get("/")).text)
        assert "script" not in outline.seen
        said = " ".join(outline.text.split())
        assert "Version 1.2.3." in said
        assert "The last poll failed; the one before that worked is still shown." in said
        assert "Last poll ended 2023-11-14T22:13:50.000Z (30s ago)" in said
        assert "Last good poll 2023-11-14T22:13:20.000Z (1m ago)" in said
        assert "Agents tracked 1" in said
        words = "Zoho does not accept the exporter's credentials (auth)"
        assert f"Getting an access token {words} 1 2023-11-14T22:14:20.000Z" in said
        assert "A poll <b>tls (<b>tls) 1 2023-11-14T22:13:50.000Z" in said
        for personal in ("Ann", "Sales", "4711"):
            assert personal not in said

    with_server(check, polled)


def test_the_landing_page_leads_everywhere() -> None:
    async def check(server: Running) -> None:
        outline = outline_of((await server.get("/")).text)
        places = [link for link in outline.links if not link.startswith(("data:", "static/", "#", "./"))]
        assert places == [
            "board", "timeline",
            "metrics", "board", "timeline", "api/v1/agents", "config", "-/healthy", "-/ready",
        ]  # fmt: skip

    with_server(check)


@pytest.mark.parametrize(
    ("story", "sentence"),
    [
        ("", "No poll has ended yet."),
        ("f", "No poll has worked yet."),
        ("p", "The last poll worked."),
        ("p...", "The last poll worked, but it is too old to be shown."),
        ("pf", "The last poll failed; the one before that worked is still shown."),
        ("pfff", "Polls fail; the agents' metrics are withheld until one works."),
    ],
)
def test_the_landing_page_has_a_sentence_for_each_state(story: str, sentence: str) -> None:
    polled = Polled()
    for step in story:
        if step == "p":
            polled.poll({"1": AVAILABLE})
        elif step == "f":
            polled.fail()
        else:
            polled.clock.pass_time(30)

    async def check(server: Running) -> None:
        answer = await server.get("/")
        assert sentence in answer.text.replace("&#39;", "'")

    with_server(check, polled)


# --- style and scripts ------------------------------------------------------------------------------------------------


def test_every_file_of_the_folder_is_served_and_nothing_else() -> None:
    folder = resources.files("exporter.web.pages") / "static"
    assert set(assets().files) == {file.name for file in folder.iterdir()} | {"tables.js"}

    async def check(server: Running) -> None:
        for path in ("/static/", "/static/../pages.css", "/static/%2e%2e/board.py", "/static/nothing.js", "/static"):
            answer = await server.client.get(httpx.URL(f"http://127.0.0.1:{server.port}{path}"))
            assert answer.status_code == 404

    with_server(check)


def test_a_file_is_kept_for_ever_under_its_version_and_asked_for_again_without() -> None:
    async def check(server: Running) -> None:
        address = assets().url("board.js")
        assert address == f"static/board.js?v={assets().version}"
        kept = await server.get(f"/{address}")
        assert kept.headers["cache-control"] == "max-age=31536000, immutable"
        assert kept.headers["content-type"] == "text/javascript; charset=utf-8"
        for other in ("/static/board.js", "/static/board.js?v=older"):
            assert (await server.get(other)).headers["cache-control"] == "no-cache"
        style = await server.get(f"/{assets().url('pages.css')}")
        assert style.headers["content-type"] == "text/css; charset=utf-8"

    with_server(check)


def test_a_file_comes_as_gzip_to_who_takes_it_and_both_have_tags_of_their_own() -> None:
    async def check(server: Running) -> None:
        plain = await server.get("/static/pages.css", **IDENTITY)
        zipped = await server.get("/static/pages.css", accept_encoding="gzip")
        assert "content-encoding" not in plain.headers
        assert zipped.headers["content-encoding"] == "gzip"
        assert zipped.content == plain.content == gzip.decompress(assets().files["pages.css"].gzip)
        assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding"
        assert plain.headers["etag"] != zipped.headers["etag"]
        for answer, other, coding in ((plain, zipped, "identity"), (zipped, plain, "gzip")):
            tag = answer.headers["etag"]
            for has in (tag, f'"other", W/{tag}', "*"):
                same = await server.get("/static/pages.css", accept_encoding=coding, if_none_match=has)
                assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
            for has in (other.headers["etag"], '"other"', tag.strip('"')):
                whole = await server.get("/static/pages.css", accept_encoding=coding, if_none_match=has)
                assert whole.status_code == 200

    with_server(check)


def test_scripts_import_each_other_under_the_same_version() -> None:
    for name, asset in assets().files.items():
        for imported, version in re.findall(r'from "\./([a-z_]+\.js)(.*?)"', asset.plain.decode()):
            assert imported in assets().files, f"{name} imports {imported}"
            assert version == f"?v={assets().version}"


def test_the_colours_of_the_pages_are_those_of_the_palette() -> None:
    style = assets().files["pages.css"].plain.decode()
    for ground in (LIGHT, DARK):
        assert f"--paper: {ground.paper};" in style
        assert f"--focus: {ground.focus};" in style
    for look in LOOKS:
        assert f"--{look.slug}: {look.light.fill};" in style
        assert f"--{look.slug}: {look.dark.fill};" in style
        assert f".look.{look.slug} {{ background-color: var(--{look.slug});" in style
        assert ("background-image" in style.partition(f".look.{look.slug} {{")[2].partition("}")[0]) == bool(
            look.light.mark
        )
    tables = assets().files["tables.js"].plain.decode()
    for look in (*FIXED.values(), *OTHERS):
        assert f'"{look.slug}"' in tables


def test_every_reason_has_words_that_people_understand() -> None:
    assert set(REASONS) <= set(REASON_WORDS)
    assert all("_" not in words and "http" not in words for words in REASON_WORDS.values())
    assert reason_words("something-new") == "something-new"


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_the_pictures_of_the_pages_are_there_and_small() -> None:
    pictures = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert pictures.keys() == {f"{shot.name}.png" for shot in SHOTS} | {PICTURE.name}
    assert max(pictures.values()) <= LARGEST_BYTES
