"""Which format and coding each pair of headers gets."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.text import Format
from exporter.web.negotiation import negotiate

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
TEXT1_UTF_8 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
OM1 = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
OM1_UTF_8 = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
OM0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT_ONLY = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("application/*", OM1),
        ("application/*, text/*", OM1),
        (BROWSER, TEXT),
        ("application/json", TEXT),
        (PROMETHEUS_2_42, OM1),
        (PROMETHEUS_3, OM1_UTF_8),
        (PROMETHEUS_3_TEXT_ONLY, TEXT1_UTF_8),
        (PROTOBUF_FIRST, OM1),
        ("application/openmetrics-text", OM1),
        ("application/openmetrics-text;version=0.0.1", OM0),
        ("Application/OpenMetrics-Text; Version=1.0.0", OM1),
        ('application/openmetrics-text; version="1.0.0"', OM1),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;version=9.9.9", TEXT),
        ("application/openmetrics-text;version=abc", TEXT),
        ("application/openmetrics-text;version=", TEXT),
        ("application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=0.0.1;q=0.1", OM0),
        ("text/plain;q=1, application/openmetrics-text;version=1.0.0;q=0.1", TEXT),
        ("text/plain;q=0.1, application/openmetrics-text;version=1.0.0;q=0.2", OM1),
        ("application/openmetrics-text;q=0, */*", TEXT),
        ("text/plain;q=0, */*", OM1),
        ("*/*;q=0", TEXT),
        ("text/plain, application/openmetrics-text", TEXT),
        ("application/openmetrics-text, text/plain", OM1),
        ("application/openmetrics-text;q=1.5", TEXT),
        ("application/openmetrics-text;q=nan", TEXT),
        ("application/openmetrics-text;q=-1", TEXT),
        ("application/openmetrics-text;q=abc", TEXT),
        ("application/openmetrics-text;q=0.000", TEXT),
        ('text/plain;note="a, application/openmetrics-text"', TEXT),
        ('text/plain;note="a\\", application/openmetrics-text;q=1"', TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0", TEXT1),
        ("text/plain;version=2.0.0", TEXT),
        ("text/plain;version=2.0.0, application/openmetrics-text;q=0.1", OM1),
        ("text/plain;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.1", TEXT1),
        ("text/plain;version=1.0.0;escaping=underscores", TEXT1),
        ("application/openmetrics-text;version=1.0.0;escaping=underscores", OM1),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", OM1_UTF_8),
        ("application/openmetrics-text;version=1.0.0;escaping=dots", OM1),
        ("application/openmetrics-text;version=1.0.0;escaping=values", OM1),
        ("application/openmetrics-text;version=1.0.0;escaping=\r\nx: y", OM1),
        ("application/openmetrics-text;escaping=allow-utf-8", OM1_UTF_8),
        ("application/openmetrics-text;version=0.0.1;escaping=allow-utf-8", OM0),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.2,"
            "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.3",
            OM1,
        ),
        ("application/openmetrics-text;version=1.0.0;validchars=utf8", OM1),
        ("application/openmetrics-text;charset=UTF-8", OM1),
        ("application/openmetrics-text;charset=iso-8859-1", TEXT),
        ("text/plain;charset=utf-8;q=0.1, text/plain, application/openmetrics-text;q=0.5", OM1),
        ("text/plain;version=0.0.4;q=0.1, text/plain, application/openmetrics-text;q=0.5", TEXT1),
        ("text/plain;version=0.0.4;charset=utf-8;q=0.1, text/plain;q=0, application/openmetrics-text;q=0.5", OM1),
        ("application/openmetrics-text ;\tversion=1.0.0 ; q=0.5\t, text/plain;q=0.4", OM1),
        ("text/plain;Q=0.1, application/openmetrics-text;q=0.2", OM1),
        ("text/plain;q=0.0001, application/openmetrics-text;q=0.0002", OM1),
        ("application/openmetrics-text, application/openmetrics-text;q=0", OM1),
        (",,;;,=,", TEXT),
        ('"', TEXT),
    ],
)
def test_the_format_is_the_one_that_the_client_likes_best(accept: str | None, content_type: str) -> None:
    answer = negotiate(accept, None)
    assert answer.content_type == content_type
    assert answer.form is (Format.TEXT if content_type.startswith("text/plain") else Format.OPENMETRICS)


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("deflate", False),
        ("deflate, gzip;q=0.5, br;q=1", True),
        ("*", True),
        ("*;q=0", False),
        ("*;q=0, gzip", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("identity, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity;q=0, *", True),
        ("identity;q=0, gzip;q=0", False),
        ("gzip;q=abc", False),
        ("gzip, gzip;q=0", True),
        ("gzip;q=0.0001", True),
        ("gzip;Q=0", False),
        ("gzip ; q=0", False),
        (" \tgzip\t", True),
        (",,gzip,", True),
        ("x-gzip;q=0, gzip", True),
        ("identity;q=0", True),
        ("identity;q=0, deflate", True),
        ("identity;q=0, *;q=0", False),
        ("*;q=0.5, gzip;q=0.4", False),
        ("*;q=0.4, gzip;q=0.5", True),
        ("*;q=0.5, identity;q=0.6", False),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", True),
        ("notgzip", False),
    ],
)
def test_the_body_is_packed_only_for_those_who_want_it(accept_encoding: str | None, gzip: bool) -> None:
    assert negotiate(None, accept_encoding).gzip is gzip


@given(st.text(st.sampled_from('*/;,="\\q=01. gziptextplain'), max_size=300), st.text(max_size=50))
def test_no_header_whatever_it_holds_makes_negotiation_fail(accept: str, accept_encoding: str) -> None:
    assert negotiate(accept, accept_encoding).content_type in (TEXT, TEXT1, TEXT1_UTF_8, OM1, OM1_UTF_8, OM0)


def test_a_header_of_a_megabyte_is_not_read_to_its_end() -> None:
    assert negotiate('"\\' * 500_000 + ",application/openmetrics-text", None).content_type == TEXT


@pytest.mark.parametrize("pattern", ['"\\', '\\"', '"', ';"\\', '"\\"', ',"'])
def test_quotes_that_do_not_end_take_no_time(pattern: str) -> None:
    began = time.process_time()
    for length in range(980, 1_000):
        negotiate((pattern * 1_000)[:length] + "\\", None)
    # It was 0.4 s, a fiftieth of it for each.
    assert time.process_time() - began < 0.1


def test_what_is_cut_off_from_a_long_header_does_not_say_the_opposite() -> None:
    assert not negotiate(None, "x" * 993 + ", gzip;q=0").gzip
