"""The HTML of reports in a real Chromium: what is seen, what the keyboard reaches, what a screen reader is told."""

import base64
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.report.formats_html import html_chunks
from exporter.report.pictures.style import picture_style
from exporter.report.pictures.svg import NAME_ROOM
from exporter.report.pictures.timeline import timeline_picture
from tests.support.browser import Page, browser_page
from tests.support.cli import run
from tests.support.pages import BESIDE, PHONE
from tests.support.pictured import HOUR, TIMELINE, at, report, stay
from tests.support.sample_history import ZONE, write_sample_history

# Two runs of the exporter on the morning of the sample history, with a gap of 20 minutes between them.
WINDOW = ("--since", "2025-03-04T08:00", "--until", "2025-03-04T13:00", "--tz", ZONE)
REPORTS = ("timeline", "summary", "intervals", "coverage")
LIGHT, DARK = "rgb(11, 79, 148)", "rgb(45, 114, 189)"
"""The blue of `On Call`, #0b4f94 and #2d72bd."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each report of the sample history as a file, as the command line writes it."""
    folder = tmp_path_factory.mktemp("html")
    db = write_sample_history(folder)
    written = {name: folder / f"{name}.html" for name in REPORTS}
    for name, path in written.items():
        done = run("history", name, "--db", str(db), *WINDOW, "--output", str(path))
        assert (done.code, done.err) == (0, "")
    return written


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("browser")) as page:
        yield page


def fill(page: Page, selector: str) -> object:
    return page.evaluate(f"getComputedStyle(document.querySelector({selector!r})).fill")


@pytest.mark.parametrize("name", REPORTS)
def test_the_browser_has_nothing_to_complain_of_and_asks_for_nothing_else(
    name: str, files: dict[str, Path], page: Page, tmp_path: Path
) -> None:
    page.open(files[name].as_uri())

    picture = tmp_path / f"{name}.png"
    picture.write_bytes(page.screenshot())
    assert page.complaints() == []
    assert page.requests() == [files[name].as_uri()]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000
    # The picture has its full width and does not stick out of the page.
    assert page.evaluate("document.querySelector('figure svg').getBoundingClientRect().width") > 700
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", REPORTS)
def test_every_bar_is_told_to_a_screen_reader_and_reached_by_the_keyboard(
    name: str, files: dict[str, Path], page: Page
) -> None:
    page.open(files[name].as_uri())
    titles = page.evaluate("[...document.querySelectorAll('.bar')].map(bar => bar.querySelector('title').textContent)")

    told = page.tree()
    assert len(titles) > 1
    assert [found for role, found in told if role == "image"] == titles
    assert [found for role, found in told if role == "heading"][1:] == ["Picture", "Table"]

    page.press_tab()
    assert page.evaluate("document.activeElement.textContent") == "Skip the picture: to the table"
    for title in titles[:2]:
        page.press_tab()
        assert page.evaluate("document.activeElement.querySelector('title').textContent") == title
        shown = "getComputedStyle(document.activeElement.querySelector('.tip')).display"
        assert page.evaluate(shown) != "none"
    assert page.evaluate("document.querySelectorAll('.bar:focus').length") == 1


@pytest.mark.parametrize("name", ["timeline", "summary", "coverage"])
def test_on_a_phone_each_name_stays_in_view_beside_its_bar_however_far_the_picture_is_scrolled(
    name: str, files: dict[str, Path], page: Page
) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=PHONE[0], height=PHONE[1], deviceScaleFactor=1, mobile=False)
    page.open(files[name].as_uri())
    for scroll in (0, 1):
        found = page.evaluate(f"({BESIDE})(['figure', {scroll}])")
        assert found
        for lane in found:
            assert 0 <= lane["left"] < lane["right"] <= PHONE[0]
            assert lane["onTop"], "a bar is drawn over the name"
            assert lane["middle"] == pytest.approx(lane["bars"], abs=1.5)
    assert page.evaluate("document.querySelector('figure .wide').scrollLeft") > 300
    page.call("Emulation.clearDeviceMetricsOverride")


TOLD = """(() => {
    const shown = (one) => getComputedStyle(one).display != "none";
    return [...document.querySelectorAll(".tip")].filter(shown).map((one) => {
        const text = one.querySelector("div"), bar = one.parentElement.querySelector(":scope > rect, :scope > g");
        const box = text.getBoundingClientRect(), shape = bar.getBoundingClientRect();
        return {
            text: text.textContent, title: one.parentElement.querySelector("title").textContent,
            left: box.left, right: box.right, top: box.top, bottom: box.bottom,
            bar: [shape.left, shape.right, shape.top, shape.bottom],
        };
    });
})()"""
"""A script: what is said of bars at this moment, and where."""
SIDES = ("left", "top", "right", "bottom")


PURE = """((picture, left, top, right, bottom) => new Promise((done) => {
    const image = new Image();
    image.onload = () => {
        const canvas = document.createElement("canvas"), drawing = canvas.getContext("2d");
        canvas.width = image.width;
        canvas.height = image.height;
        drawing.drawImage(image, 0, 0);
        const {data} = drawing.getImageData(left, top, right - left, bottom - top);
        done(data.every((value, at) => value == [255, 0, 255, 255][at % 4]));
    };
    image.src = `data:image/png;base64,${picture}`;
}))"""
"""A script: whether a part of a picture has the colour magenta alone."""


def is_on_top(page: Page, told: dict[str, Any]) -> bool:
    """Whether nothing is drawn over what is said of a bar: painted magenta, it is so all over."""
    found = "[...document.querySelectorAll('.tip div')].filter((one) => one.getClientRects().length)"
    page.evaluate(f"{found}[0].style.cssText = 'background: magenta; color: magenta; forced-color-adjust: none'")
    picture = base64.b64encode(page.screenshot()).decode()
    page.evaluate(f"{found}[0].style.cssText = ''")
    inside = ", ".join(str(round(told[side]) + by) for side, by in zip(SIDES, (4, 4, -4, -4), strict=True))
    pure: bool = page.call(
        "Runtime.evaluate", expression=f"{PURE}('{picture}', {inside})", awaitPromise=True, returnByValue=True
    )["result"]["value"]
    return pure


def settle(page: Page) -> None:
    """Wait until what follows from scrolling is drawn."""
    twice = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.call("Runtime.evaluate", expression=twice, awaitPromise=True)


def told_in_view(page: Page) -> dict[str, Any]:
    """What is said of the one bar of which something is said, all of it in view and above the bar."""
    settle(page)
    (told,) = page.evaluate(TOLD)
    assert told["text"] == told["title"]
    assert 0 <= told["left"] < told["right"] <= 360
    assert 0 <= told["top"] < told["bottom"] <= told["bar"][2] <= 640
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert is_on_top(page, told), "something is drawn over the text"
    found: dict[str, Any] = told
    return found


@contextmanager
def narrow(page: Page) -> Iterator[None]:
    """A screen of 360 pixels, as of a phone, or of a desk at 400 %."""
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=False)
    try:
        yield
    finally:
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("name", REPORTS)
def test_on_a_phone_what_is_said_of_a_bar_is_in_view_however_far_the_picture_is_scrolled(
    name: str, files: dict[str, Path], page: Page
) -> None:
    with narrow(page):
        page.open(files[name].as_uri())
        page.press_tab()
        page.press_tab()
        first = told_in_view(page)

        page.evaluate("[...document.querySelectorAll('.bar')].at(-2).focus()")
        page.evaluate("document.querySelector('figure .wide').scrollLeft = 9999")
        page.press_tab()
        last = told_in_view(page)
        assert page.evaluate("document.querySelector('figure .wide').scrollLeft") > 300
        assert last["title"] != first["title"]

        page.evaluate("document.querySelector('figure .wide').scrollLeft = 200")
        assert told_in_view(page)["title"] == last["title"]

        # With the pointer on another one, only that is told of.
        middle = "[...document.querySelectorAll('.bar')].at(-2)"
        page.evaluate(f"{middle}.scrollIntoView({{block: 'center', inline: 'center'}})")
        settle(page)
        x, y = page.evaluate(
            f"""[{middle}.querySelector(":scope > rect, :scope > g").getBoundingClientRect()].flatMap((box) =>
                [(Math.max(box.left, 110) + Math.min(box.right, 336)) / 2, box.bottom - 3])"""
        )
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        assert told_in_view(page)["title"] == page.evaluate(f"{middle}.querySelector('title').textContent")


def test_on_a_phone_a_bar_that_gets_the_focus_is_scrolled_to_with_what_is_said_of_it(
    files: dict[str, Path], page: Page
) -> None:
    with narrow(page):
        page.open(files["timeline"].as_uri())
        page.press_tab()
        lanes = set()
        for number in range(0, 400, 25):
            page.evaluate(f"document.querySelectorAll('.bar')[{number}].focus({{preventScroll: true}})")
            page.press_tab()
            told = told_in_view(page)
            # A narrow bar is to be seen beside the names, which take 106 pixels after the edge of 24.
            left, right, top, _ = told["bar"]
            assert right > 130
            assert left < 336
            assert top - told["bottom"] < 10
            lanes.add(top + page.evaluate("scrollY"))
        assert len(lanes) > 4


ODD = (
    "</div></foreignObject></svg><script>document.title = 1</script>",
    "W" * 60,
    "محمد عبد الله",
    "A\u202eB &lt;b&gt;",
)


@pytest.mark.parametrize("colours", ["none", "active"])
def test_on_a_phone_odd_and_long_names_are_told_as_text_and_read_on_a_ground_of_their_own(
    colours: str, page: Page, tmp_path: Path
) -> None:
    since = at("2025-01-15T00:00")
    rows = [stay(name, "Lunch " * 16, since, since + 24 * HOUR, str(place)) for place, name in enumerate(ODD)]
    path = tmp_path / "odd.html"
    path.write_text("".join(html_chunks(report("timeline", TIMELINE, rows, since, since + 24 * HOUR))), "utf-8")
    with narrow(page):
        page.media(forced_colors=colours)
        page.open(path.as_uri())
        page.press_tab()
        for name in ODD:
            page.press_tab()
            shown = name.replace("\u202e", "\ufffd")
            assert told_in_view(page)["text"].startswith(shown[:20])
            looks = page.evaluate(
                """[".bar:focus .tip div", "body"].map((one) => document.querySelector(one)).map(
                    (one) => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color])"""
            )
            assert looks[0] == looks[1]
        assert page.evaluate("document.title").startswith("Timeline")
        assert page.complaints() == []
        page.media("print")
        assert page.evaluate(TOLD) == []
        page.media()


def test_on_a_desk_what_is_said_of_a_bar_stands_in_one_line_at_the_top_left_of_the_picture(
    files: dict[str, Path], page: Page
) -> None:
    page.open(files["timeline"].as_uri())
    for _ in range(40):
        page.press_tab()
    (told,) = page.evaluate(TOLD)
    left, top, scale = page.evaluate(
        "[document.querySelector('figure svg').getBoundingClientRect()].flatMap((box) => "
        "[box.left, box.top, box.width / 1000])"
    )
    assert told["left"] == pytest.approx(left, abs=0.5)
    # The line stands on 14 units, and its letters reach a little below.
    assert (told["bottom"] - top) / scale == pytest.approx(14, abs=4)
    assert (told["top"] - top) / scale == pytest.approx(0, abs=0.5)


def test_colours_follow_the_wish_for_dark_and_a_print_is_light(files: dict[str, Path], page: Page) -> None:
    page.open(files["timeline"].as_uri())

    page.media(prefers_color_scheme="light")
    assert fill(page, "rect.on-call") == LIGHT
    page.media(prefers_color_scheme="dark")
    assert fill(page, "rect.on-call") == DARK
    page.media("print", prefers_color_scheme="dark")
    assert fill(page, "rect.on-call") == LIGHT
    assert page.evaluate("getComputedStyle(document.querySelector('.skip')).display") == "none"
    page.media()


def test_a_print_on_paper_takes_little_room(files: dict[str, Path], page: Page) -> None:
    # Patterns would be printed as an image of the whole page for each hatched bar.
    page.open(files["coverage"].as_uri())
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) < 300_000


NAMES = (
    "Ann",
    "HIMANSHU VISHWAKARMA",
    "MARY-ANNE WELLINGTON",
    "Mary-Anne Wellington-Smythe",
    "Agnieszka Brzęczyszczykiewicz",
    "Gwendolyn Hammermann, Commerce",
    "ЩУКИНА ЖАННА ЮРЬЕВНА",
    "محمد عبد الله الحسيني الطويل",
    "@" * 30,
    "W" * 30,
    "i" * 60,
)


def test_names_and_words_take_no_more_room_than_they_have(page: Page, tmp_path: Path) -> None:
    # The stays are of 1 to 22 tenths of an hour, which is 3.5 to 77 units.
    since, rows = at("2025-01-15T00:00"), []
    for number, name in enumerate(NAMES, start=1):
        start = since
        for tenths, status in zip(range(number, 23), itertools.cycle(("On Call", "WRAP UP", "unknown")), strict=False):
            end = start + tenths * HOUR // 10
            rows.append(stay(name, status, start, end, str(number)))
            start = end
    drawn = timeline_picture(report("timeline", TIMELINE, rows, since, since + 24 * HOUR))
    path = tmp_path / "names.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8><style>{picture_style()}</style>{drawn}", "utf-8")
    page.open(path.as_uri())

    lengths = page.evaluate("[...document.querySelectorAll('.names text')].map((one) => one.getComputedTextLength())")
    assert len(lengths) == len(NAMES)
    assert [name for name, length in zip(NAMES, lengths, strict=True) if length > NAME_ROOM] == []
    sides = """[...document.querySelectorAll(".bar .word")].map((word) => {
        const text = word.getBoundingClientRect();
        const bar = word.closest(".bar").querySelector("rect").getBoundingClientRect();
        return [word.textContent, text.left - bar.left, bar.right - text.right];
    })"""
    words = page.evaluate(sides)
    assert {word for word, _, _ in words} == {"On Call", "WRAP UP", "unknown"}
    assert [each for each in words if min(each[1:]) < 0] == []
