"""What is kept of text from outside: names as they are written, and nothing that could do harm where they are shown."""

import json
import sqlite3
import sys
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import storable

KEPT = {
    "a wide space between Japanese names": "山田\u3000太郎",
    "a space that does not break": "Anne\u00a0Marie",
    "a joiner that Persian leaves out": "علی\u200cرضا",
    "a joiner in an emoji": "\U0001f468\u200d\U0001f4bb Bo",
    "a letter that Unicode has not given out yet": "\U0001fae9",
    "a combining accent": "Zoe\u0308",
}
REPLACED = {
    "NUL": "\x00",
    "an escape": "\x1b",
    "a control character of eight bits": "\x9b",
    "an end of line": "\n",
    "Unicode's end of line": "\u2028",
    "a lone surrogate": "\ud800",
    "a turn of the direction": "\u202e",
    "a mark of direction": "\u200f",
    "a soft hyphen": "\u00ad",
    "a byte order mark": "\ufeff",
    "what is never a character": "\ufffe",
    "what is never a character, in the middle": "\ufdd0",
    "what is never a character, far up": "\U0010ffff",
}


@pytest.mark.parametrize("name", KEPT.values(), ids=KEPT)
def test_a_name_is_kept_as_it_is_written(name: str) -> None:
    assert storable(name) == name


@pytest.mark.parametrize("character", REPLACED.values(), ids=REPLACED)
def test_what_no_name_needs_and_a_line_cannot_carry_is_replaced(character: str) -> None:
    assert storable(f"A{character}B") == "A\ufffdB"


@given(st.text(st.characters(), max_size=20))
def test_whatever_comes_is_one_line_that_sqlite_json_and_xml_give_back(text: str) -> None:
    kept = storable(text)
    assert storable(kept) == kept
    assert len(kept) == len(text)
    assert len(f"{kept}.".splitlines()) == 1
    with sqlite3.connect(":memory:") as connection:
        assert connection.execute("SELECT ?", (kept,)).fetchone() == (kept,)
    connection.close()
    assert json.loads(json.dumps(kept)) == kept
    element = ElementTree.Element("name")
    element.text = kept
    assert (ElementTree.fromstring(ElementTree.tostring(element)).text or "") == kept


def test_of_all_characters_only_spaces_joiners_and_unknown_ones_are_kept_beside_the_printable() -> None:
    more = [c for c in map(chr, range(sys.maxunicode + 1)) if not c.isprintable() and storable(c) == c]
    kinds = {unicodedata.category(c) for c in more}
    assert kinds == {"Zs", "Cf", "Cn"}
    assert [c for c in more if unicodedata.category(c) == "Cf"] == ["\u200c", "\u200d"]
