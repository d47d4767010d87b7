"""The HTML of reports in a real Chromium: what is seen, what the keyboard reaches, what a screen reader is told."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

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
