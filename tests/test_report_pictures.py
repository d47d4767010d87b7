"""The pictures of reports, read back: each bar where its time belongs, what is not known hatched, all of it told."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.report.model import Cell, Column, Report
from exporter.report.palette import Texture, look_of
from exporter.report.pictures import (
    LARGEST,
    PICTURES,
    coverage_picture,
    intervals_picture,
    legend,
    summary_picture,
    timeline_picture,
)
from exporter.report.pictures.svg import fitted, label_width
from exporter.report.pictures.texture import Place, filled
from exporter.report.pictures.zoomable import zoomable_timeline
from tests.support.pictured import (
    COVERAGE,
    HOUR,
    INTERVALS,
    SUMMARY,
    SVG,
    TIMELINE,
    at,
    bars,
    focusable,
    names,
    pictures,
    report,
    stay,
    title,
)

MIDNIGHT = at("2025-01-15T00:00")
NEXT = at("2025-01-16T00:00")
MINUTE = HOUR // 60


def hour(number: float) -> int:
    return MIDNIGHT + round(number * HOUR)


# A day of 24 hours is 840 units wide and begins at 150: an hour has 35, a minute 35/60.
DAY = report(
    "timeline",
    TIMELINE,
    [
        stay("Ann", "Offline", hour(0), hour(9), carried_in=True),
        stay("Ann", "On Call", hour(9), hour(10.5), start_not_before=hour(8.5)),
        stay("Ann", "unknown", hour(10.5), hour(12)),
        stay("Ann", "Available", hour(12), hour(12) + MINUTE, provisional=True),
        stay("", "absent", hour(6), hour(7), "1002"),
        stay("", "Busy", hour(20), hour(24), "1002", open=True),
    ],
    MIDNIGHT,
    NEXT,
)


BRIDGED = stay("Ann", "Busy", hour(3), hour(5), quality="bridged")


def texts(markup: str, kind: str) -> list[str]:
    """The labels inside groups of a class, or of that class themselves."""
    found = [e for picture in pictures(markup) for e in picture.iter() if e.get("class") == kind]
    return [text.text or "" for e in found for text in e.iter(f"{SVG}text")]


# --- timeline ---------------------------------------------------------------------------------------------------------


def test_each_stay_is_a_bar_from_its_start_to_its_end() -> None:
    drawn = [(bar.look, bar.x, bar.width) for bar in bars(timeline_picture(DAY))]
    assert drawn == [
        ("offline", 150, 315),  # 9 h
        ("on-call", 465, 52.5),
        ("unknown", 517.5, 52.5),
        ("available", 570, 0.583),  # a minute
        ("absent", 360, 35),
        ("busy", 850, 140),
    ]


def test_an_agent_is_a_lane_and_has_a_name_or_else_an_id() -> None:
    markup = timeline_picture(DAY)
    assert names(markup) == ["Ann", "1002"]
    groups = [e.get("aria-label") for e in pictures(markup)[0].iter(f"{SVG}g") if e.get("role") == "group"]
    assert groups == ["Ann, id 1001", "1002"]
    ys = [bar.y for bar in bars(markup)]
    assert len(set(ys[:4])) == len(set(ys[4:])) == 1
    assert ys[4] - ys[0] == 26


def test_what_is_not_known_is_hatched_and_what_is_known_is_not() -> None:
    assert [(bar.look, bar.hatched) for bar in bars(timeline_picture(DAY))] == [
        ("offline", False),
        ("on-call", False),
        ("unknown", True),
        ("available", False),
        ("absent", True),
        ("busy", False),
    ]


def test_a_bar_tells_who_what_when_how_long_and_how_sure() -> None:
    titles = [bar.title for bar in bars(timeline_picture(DAY))]
    assert titles[0] == "Ann: Offline, 2025-01-15 00:00:00 to 09:00:00, 9:00:00; began before the window"
    assert titles[1] == ("Ann: On Call, 2025-01-15 09:00:00 to 10:30:00, 1:30:00; began between 08:30:00 and 09:00:00")
    assert titles[3] == "Ann: Available, 2025-01-15 12:00:00 to 12:01:00, 0:01:00; provisional"
    assert titles[5] == ("1002: Busy, 2025-01-15 20:00:00 to 2025-01-16 00:00:00, 4:00:00; goes on after the window")


def test_a_gap_that_was_bridged_has_lines_over_its_colour_and_is_told() -> None:
    markup = timeline_picture(report("timeline", TIMELINE, [BRIDGED], MIDNIGHT, NEXT))
    (bar,) = bars(markup)
    assert (bar.look, bar.hatched, bar.written) == ("busy", True, "")
    assert bar.title == "Ann: Busy, 2025-01-15 03:00:00 to 05:00:00, 2:00:00; bridged"
    assert "lines over a colour: a gap that was bridged" in legend(
        report("timeline", TIMELINE, [BRIDGED], MIDNIGHT, NEXT)
    )
    assert "bridged" not in legend(DAY)


def test_bounds_on_both_sides_are_told_where_the_edge_policy_puts_an_edge_between_them() -> None:
    middle = stay("Ann", "Busy", hour(1), hour(2), start_not_before=hour(0.5), start_not_after=hour(1.5))
    (bar,) = bars(timeline_picture(report("timeline", TIMELINE, [middle], MIDNIGHT, NEXT)))
    assert bar.title.endswith("; began between 00:30:00 and 01:30:00")


def test_the_keyboard_stops_at_every_bar_and_a_screen_reader_says_its_title() -> None:
    (picture,) = pictures(timeline_picture(DAY))
    stops = focusable(picture)
    assert len(stops) == len(DAY.rows)
    assert all(stop.get("role") == "img" and title(stop) for stop in stops)
    told = [stop.findtext(f"{SVG}foreignObject/{SVG}div") for stop in stops]  # shown while it has the focus
    assert told == [title(stop) for stop in stops]
    assert picture.get("role") == "group"
    assert picture.get("aria-label") == (
        "Timeline of 2 agents, 2025-01-15 00:00:00+00:00 to 2025-01-16 00:00:00+00:00 (UTC). "
        "A lane for each agent, a bar for each stay."
    )


def test_a_status_is_written_on_its_bar_where_it_fits() -> None:
    assert [bar.written for bar in bars(timeline_picture(DAY))] == ["Offline", "On Call", "unknown", "", "", "Busy"]


def test_a_wide_bracket_is_a_line_under_the_bars_and_a_narrow_one_is_not() -> None:
    (picture,) = pictures(timeline_picture(DAY))
    lines = [path.get("d") for path in picture.iter(f"{SVG}path") if path.get("class") == "doubt"]
    y = bars(timeline_picture(DAY))[1].y + 20
    assert lines == [f"M447.5 {y:g}H465"]  # 08:30 to 09:00
    narrow = stay("Ann", "Busy", hour(1), hour(2), start_not_before=hour(1) - 30_000)
    assert "doubt" not in timeline_picture(report("timeline", TIMELINE, [narrow], MIDNIGHT, NEXT))


def test_the_frame_of_a_lane_leaves_out_the_time_in_which_nobody_was_tracked() -> None:
    (picture,) = pictures(timeline_picture(DAY))
    frames = [path.get("d") or "" for path in picture.iter(f"{SVG}path") if path.get("class") == "outline"]
    assert [frame.count("M") for frame in frames] == [1, 2]
    assert frames[0].startswith("M150 ")
    assert "H570.583v18H150z" in frames[0]


def test_twenty_agents_are_in_a_picture_and_each_picture_has_its_axis() -> None:
    rows = [stay(f"Agent {i}", "Busy", hour(0), hour(24), str(i)) for i in range(45)]
    found = pictures(timeline_picture(report("timeline", TIMELINE, rows, MIDNIGHT, NEXT)))
    assert [len(focusable(picture)) for picture in found] == [20, 20, 5]
    assert [(picture.get("aria-label") or "").partition(",")[0] for picture in found] == [
        "Timeline of agents 1 to 20 of 45",
        "Timeline of agents 21 to 40 of 45",
        "Timeline of agents 41 to 45 of 45",
    ]
    assert all(any(e.get("class") == "axis" for e in picture) for picture in found)


# --- summary ----------------------------------------------------------------------------------------------------------


def summed(status: str, time: int, name: str = "Ann", **more: Cell) -> dict[str, Cell]:
    return {"agent_id": name, "name": name, "status": status, "duration_seconds": time, "coverage": 0.75, **more}


def summary_of(*rows: dict[str, Cell], columns: tuple[Column, ...] = SUMMARY) -> Report:
    return report("summary", columns, rows, MIDNIGHT, NEXT)


def test_a_bar_of_the_summary_is_the_tracked_time_divided_by_status_with_unknown_last() -> None:
    # 8 h tracked on 760 units: 95 an hour. Drawn in the order of stacking, whatever that of the rows.
    rows = (summed("unknown", 2 * HOUR), summed("On Call", 4 * HOUR), summed("Available", 2 * HOUR))
    drawn = bars(summary_picture(summary_of(*rows)))
    assert [(bar.look, bar.x, bar.width, bar.hatched, bar.written) for bar in drawn] == [
        ("available", 150, 190, False, "Available 25 %"),
        ("on-call", 340, 380, False, "On Call 50 %"),
        ("unknown", 720, 190, True, "unknown 25 %"),
    ]


def test_a_status_that_was_not_asked_for_leaves_its_room_empty() -> None:
    rows = (summed("On Call", 2 * HOUR, tracked_seconds=8 * HOUR),)
    assert [(bar.x, bar.width) for bar in bars(summary_picture(summary_of(*rows)))] == [(150, 190)]


def test_the_keyboard_stops_once_at_each_agent_of_the_summary() -> None:
    rows = (summed("On Call", 6 * HOUR), summed("unknown", 2 * HOUR), summed("Busy", HOUR, "Bob"))
    (picture,) = pictures(summary_picture(summary_of(*rows)))
    assert [title(stop) for stop in focusable(picture)] == [
        "Ann: On Call 6:00:00 (75.0 %), unknown 2:00:00 (25.0 %); known 75.0 %",
        "Bob: Busy 1:00:00 (100.0 %); known 75.0 %",
    ]
    assert names(summary_picture(summary_of(*rows))) == ["Ann", "Bob"]
    assert texts(summary_picture(summary_of(*rows)), "lane") == ["75.0 %", "75.0 %"]


def test_what_of_a_status_is_bridged_has_lines_over_it() -> None:
    # 10 h tracked on 760 units: 76 an hour; the second of two hours is bridged.
    rows = (summed("Busy", 2 * HOUR, bridged_seconds=HOUR, tracked_seconds=10 * HOUR),)
    markup = summary_picture(summary_of(*rows))
    assert [(bar.x, bar.width, bar.hatched) for bar in bars(markup)] == [(150, 152, True)]
    (lines,) = [p.get("d") or "" for p in pictures(markup)[0].iter(f"{SVG}path") if p.get("class") != "grid"]
    xs = [float(step.split()[0]) for step in lines.split("M")[1:]]
    assert 226 <= min(xs) <= max(xs) <= 302
    assert "Ann: Busy 2:00:00 (20.0 %, 1:00:00 of it bridged); known 75.0 %" in markup


def test_a_status_of_no_time_has_no_bar() -> None:
    rows = (summed("On Call", 0, max_seconds=30_000), summed("Busy", HOUR))
    assert [bar.look for bar in bars(summary_picture(summary_of(*rows)))] == ["busy"]


def test_groups_are_lanes_called_by_what_their_rows_have_in_common() -> None:
    columns = (Column("team"), Column("day"), Column("agents"), Column("class"), *SUMMARY[3:])
    rows: list[dict[str, Cell]] = [
        {"team": team, "day": "2025-01-15", "agents": 3, "class": "handling", "duration_seconds": HOUR, "coverage": 1.0}
        for team in ("Sales", "")
    ]
    markup = summary_picture(summary_of(*rows, columns=columns))
    assert names(markup) == ["Sales, 2025-01-15", "no team, 2025-01-15"]
    assert texts(markup, "lane") == ["100.0 %", "100.0 %"]
    assert [bar.look for bar in bars(markup)] == ["on-call", "on-call"]
    assert "of 2 groups by status" in markup


def test_a_long_name_is_cut_and_not_the_day_behind_it() -> None:
    columns = (Column("agent_id"), Column("name"), Column("day"), *SUMMARY[2:])
    markup = summary_picture(summary_of(summed("Busy", HOUR, "Ann " * 20, day="2025-01-15"), columns=columns))
    (lane,) = names(markup)
    assert lane.startswith("Ann")
    assert lane.endswith("…, 2025-01-15")
    assert label_width(lane) <= 136


def test_a_report_of_everything_together_is_one_lane() -> None:
    columns = (Column("agents"), *SUMMARY[2:])
    rows: list[dict[str, Cell]] = [{"status": "Busy", "duration_seconds": HOUR, "coverage": None}]
    markup = summary_picture(summary_of(*rows, columns=columns))
    assert (names(markup), texts(markup, "lane")) == (["total"], ["–"])


# --- intervals --------------------------------------------------------------------------------------------------------


def bucket(start: int, status: str, mean: float | None, length: int = HOUR) -> dict[str, Cell]:
    return {"start": start, "end": start + length, "status": status, "mean_agents": mean}


def intervals_of(*rows: dict[str, Cell], until: int = NEXT) -> Report:
    return report("intervals", INTERVALS, rows, MIDNIGHT, until)


def test_a_column_stacks_the_mean_agents_of_its_bucket_with_unknown_on_top() -> None:
    # 10 hours on 940 units: 94 each. At most 4 agents: 240 units of height are 4 agents, 60 each.
    rows = (
        bucket(hour(0), "unknown", 0.5),
        bucket(hour(0), "Available", 2.5),
        bucket(hour(0), "On Call", 1),
        bucket(hour(9), "Busy", 3),
    )
    drawn = bars(intervals_picture(intervals_of(*rows, until=hour(10))))
    bottom = drawn[0].y + drawn[0].height
    assert [(bar.look, bar.x, bar.width, bottom - bar.y, bar.height, bar.hatched) for bar in drawn] == [
        ("available", 50, 94, 150, 150, False),
        ("on-call", 50, 94, 210, 60, False),
        ("unknown", 50, 94, 240, 30, True),
        ("busy", 896, 94, 180, 180, False),
    ]


def test_the_keyboard_stops_once_at_each_column() -> None:
    rows = (bucket(hour(0), "Available", 2.25), bucket(hour(0), "unknown", 1), bucket(hour(1), "Available", 0))
    more = (bucket(hour(2), "Busy", 1 / 3), bucket(hour(3), "Available", None))  # nobody is tracked in the last one
    (picture,) = pictures(intervals_picture(intervals_of(*rows, *more)))
    assert [title(stop) for stop in focusable(picture)] == [
        "2025-01-15 00:00:00 to 01:00:00: Available 2.25, unknown 1",
        "2025-01-15 01:00:00 to 02:00:00: nobody",
        "2025-01-15 02:00:00 to 03:00:00: Busy 0.33",
        "2025-01-15 03:00:00 to 04:00:00: nobody",
    ]


def test_the_repeated_hour_is_two_columns_of_the_same_name_told_apart_by_the_offset() -> None:
    first = at("2025-10-26T02:00", "Europe/Berlin")
    rows = (bucket(first, "Busy", 1), bucket(first + HOUR, "Busy", 1))
    since, until = at("2025-10-26", "Europe/Berlin"), at("2025-10-27", "Europe/Berlin")
    markup = intervals_picture(report("intervals", INTERVALS, rows, since, until, "Europe/Berlin"))
    # 25 hours on 940 units: 37.6 each.
    assert [(bar.title, bar.x, bar.width) for bar in bars(markup)] == [
        ("2025-10-26 02:00:00+02:00 to 02:00:00+01:00: Busy 1", 125.2, 37.6),
        ("2025-10-26 02:00:00+01:00 to 03:00:00: Busy 1", 162.8, 37.6),
    ]


@given(st.floats(0.001, 100_000))
def test_the_axis_of_agents_begins_at_zero_and_reaches_beyond_the_highest_column(highest: float) -> None:
    markup = intervals_picture(intervals_of(bucket(hour(0), "Busy", highest)))
    axes = [e for e in pictures(markup)[0] if e.get("class") == "axis"]
    (axis,) = [e for e in axes if e.findtext(f"{SVG}text") == "agents"]
    marks = [float(text.text or "nan") for text in axis.findall(f"{SVG}text")[1:]]
    assert marks[0] == 0
    assert highest <= marks[-1] * 1.000001
    assert 2 <= len(marks) <= 9


# --- coverage ---------------------------------------------------------------------------------------------------------


def stretch(start: int, end: int, reason: str | None, source: str = "recorder") -> dict[str, Cell]:
    return {"source": source, "start": start, "end": end, "covered": reason is None, "reason": reason}


def test_gaps_in_the_coverage_are_hatched_and_say_why() -> None:
    rows = (
        stretch(hour(0), hour(6), "not recorded yet"),
        stretch(hour(6), hour(18), None),
        stretch(hour(18), hour(18) + MINUTE, "poll failure"),
        stretch(hour(18) + MINUTE, hour(24), None),
        stretch(hour(3), hour(4), None, "log.csv"),
    )
    markup = coverage_picture(report("coverage", COVERAGE, rows, MIDNIGHT, NEXT))
    assert [(bar.look, bar.x, bar.width, bar.hatched, bar.written) for bar in bars(markup)] == [
        ("unknown", 150, 210, True, "not recorded yet"),
        ("covered", 360, 420, False, "covered"),
        ("unknown", 780, 0.583, True, ""),
        ("covered", 780.583, 209.417, False, "covered"),
        ("covered", 255, 35, False, ""),
    ]
    assert bars(markup)[2].title == "recorder: not covered, poll failure, 2025-01-15 18:00:00 to 18:01:00, 0:01:00"
    assert names(markup) == ["recorder", "log.csv"]
    # Only the gap of a minute is too short to be seen: a mark points at it.
    assert [p.get("d") for p in pictures(markup)[0].iter(f"{SVG}path") if p.get("class") == "mark"] == [
        "M780.292 33l-4 -7h8z"
    ]


# --- all of them ------------------------------------------------------------------------------------------------------

EMPTY = {
    "timeline": report("timeline", TIMELINE, [], MIDNIGHT, NEXT),
    "summary": report("summary", SUMMARY, [], MIDNIGHT, NEXT),
    "intervals": intervals_of(bucket(hour(0), "Available", 0)),
    "coverage": report("coverage", COVERAGE, [], MIDNIGHT, MIDNIGHT),
}


@pytest.mark.parametrize("name", PICTURES)
def test_where_there_is_nothing_to_draw_a_sentence_says_so(name: str) -> None:
    (paragraph,) = pictures(PICTURES[name](EMPTY[name]))
    assert paragraph.tag == "p"
    assert (paragraph.text or "").startswith("There is no picture, because ")


def test_more_bars_than_can_be_read_are_not_drawn_and_it_says_what_to_ask_instead() -> None:
    many = report("timeline", TIMELINE, [DAY.rows[0]] * (LARGEST + 1), MIDNIGHT, NEXT)
    (paragraph,) = pictures(timeline_picture(many))
    assert paragraph.text == (
        "The picture is left out, because it would have 20,001 bars, and 20,000 are the most that can be read and "
        "shown. Ask for fewer agents, a shorter time or longer steps. Nothing is left out of the table."
    )


HOSTILE = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("<>&\"'\x00\x1b\x9b\u202e\u2066\ufffe\ud800]")))


@given(HOSTILE, HOSTILE)
def test_no_name_and_no_status_can_break_out_of_a_picture(name: str, status: str) -> None:
    day = stay(name, status, hour(0), hour(24), name)
    drawn = timeline_picture(report("timeline", TIMELINE, [day], MIDNIGHT, NEXT))
    (bar,) = bars(drawn)
    assert (bar.x, bar.width) == (150, 840)
    summary_row = summed(status, HOUR, name)
    for markup in (summary_picture(summary_of(summary_row)), legend(summary_of(summary_row))):
        found = ElementTree.fromstring(f"<div>{markup}</div>")
        assert not {e.tag.removeprefix(SVG) for e in found.iter()} - {
            "div", "svg", "g", "rect", "path", "text", "title", "foreignObject", "ul", "li", "span",
        }  # fmt: skip
    assert (drawn + markup).encode()
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066" for c in drawn + markup)


@given(HOSTILE, HOSTILE)
@example("Ann; provisional", "Busy, 2025-01-15 00:00:00;\nexact")
def test_no_name_and_no_status_makes_a_line_of_its_own_in_what_the_page_says_of_a_bar(name: str, status: str) -> None:
    day = stay(name, status, hour(0), hour(24), "1001", provisional=True)
    (picture,) = pictures(
        zoomable_timeline(report("timeline", TIMELINE, [day], MIDNIGHT, NEXT), MIDNIGHT, NEXT, []).markup
    )
    (stop,) = focusable(picture)
    lines = (stop.findtext(f"{SVG}title") or "").split("\n")
    assert [lines[0][-1], *lines[1:]][:2] == [",", "2025-01-15 00:00:00 to 2025-01-16 00:00:00, 24:00:00;"]
    assert lines[-1] == "provisional"
    assert len(lines) == (3 if day["quality"] == "unknown" else 4)


def test_the_legend_shows_every_status_of_the_report_in_the_order_of_stacking() -> None:
    found = ElementTree.fromstring(legend(DAY))
    assert [item.findtext("span") for item in found] == [
        "Available",
        "On Call",
        "Busy",
        "Offline",
        "absent: asked for, and not in Zoho's answer",
        "unknown: nobody was looking",
        "under a bar: the change fell somewhere in this time, if it is more than a moment",
    ]


@given(
    st.sampled_from(("unknown", "absent", "error", "Lunch", "Training")),
    st.tuples(st.floats(0, 1000), st.floats(0, 300), st.floats(0.01, 900), st.floats(0.01, 300)),
)
def test_the_lines_of_a_texture_stay_on_their_shape(word: str, place: tuple[float, float, float, float]) -> None:
    x, y, width, height = place
    drawn = ElementTree.fromstring(f"<g>{filled(look_of(word), Place(*place))}</g>")
    path = drawn.find("path")
    for step in (path.get("d") or "").split("M")[1:] if path is not None else []:
        start = [float(number) for number in re.findall(r"[0-9.e-]+", step)]
        assert x - 0.01 <= start[0] <= x + width + 0.01
        assert y - 0.01 <= start[1] <= y + height + 0.01
        if "L" in step:
            assert x - 0.01 <= start[2] <= x + width + 0.01
            assert y - 0.01 <= start[3] <= y + height + 0.01


def test_slanted_lines_of_neighbours_meet() -> None:
    # Lines lie where x + y is a multiple of 8: in a square from (0, 0) to (8, 8) it is the diagonal, cut by 0.7.
    assert look_of("unknown").texture is Texture.SLANTED
    assert 'd="M0.7 7.3L7.3 0.7"' in filled(look_of("unknown"), Place(0, 0, 8, 8))
    assert 'd="M8.7 7.3L15.3 0.7"' in filled(look_of("unknown"), Place(8, 0, 8, 8))


@given(st.text(), st.floats(0, 300))
def test_a_label_takes_no_more_than_its_room(text: str, room: float) -> None:
    shown = fitted(text, room)
    assert label_width(shown) <= room or shown == ""
    assert shown == text or shown == "" or shown.endswith("…")


def test_joiners_take_no_room_and_spaces_that_do_not_break_take_that_of_spaces() -> None:
    assert label_width("علی\u200cرضا") == label_width("علیرضا")
    assert label_width("Anne\u00a0Marie") == label_width("Anne Marie")
    assert label_width("山田\u3000太郎") == label_width("山田山太郎"), "the wide space is as wide as a letter"
