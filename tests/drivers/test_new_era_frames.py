"""Bytes and numbers of the New Era protocol."""

from __future__ import annotations

import binascii
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverError, OutOfRangeError, ProtocolError
from drivers.new_era_frames import (
    choose_rate,
    encode_basic,
    encode_safe,
    format_number,
    parse_dispensed_ul,
    parse_rate_ul_min,
    parse_reply,
    parse_volume_ul,
)


def test_the_manuals_packet_that_ends_safe_mode() -> None:
    """NE-1000 user manual 10.2.2: (0x2) (0x8) SAF0 (0x55) (0x43) (0x3), without an address; ours carries one."""
    assert binascii.crc_hqx(b"SAF0", 0).to_bytes(2, "big") == b"\x55\x43"
    crc = binascii.crc_hqx(b"0SAF0", 0).to_bytes(2, "big")
    assert encode_safe(0, "SAF0") == b"\x02\x090SAF0" + crc + b"\x03"


def test_a_basic_command_ends_with_a_carriage_return() -> None:
    assert encode_basic(7, "RAT 80.25 UM") == b"7RAT 80.25 UM\r"


@pytest.mark.parametrize(
    ("value", "text"),
    [(500.0, "500.0"), (80.25, "80.25"), (1234.4, "1234"), (0.115, "0.115"), (9.9996, "10.00"), (12.346, "12.35")],
)
def test_a_number_has_four_digits_at_most(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize("value", [0.0, -1.0, 9999.6, 0.0004, math.nan, math.inf])
def test_a_number_that_does_not_fit_is_refused(value: float) -> None:
    with pytest.raises(OutOfRangeError):
        format_number(value)


@given(st.floats(min_value=0.001, max_value=9999.0))
def test_a_volume_rounds_down_and_never_up(value: float) -> None:
    written = float(format_number(value, "down"))
    assert written <= value * (1 + 1e-9)
    assert written > value - max(0.001, value * 1e-3) - 1e-9


@given(st.floats(min_value=0.01, max_value=9000.0))
def test_the_chosen_unit_keeps_a_flow_within_half_a_thousandth(flow_ul_min: float) -> None:
    digits, unit = choose_rate(flow_ul_min)
    actual, _ = parse_rate_ul_min(digits + unit)
    assert abs(actual / flow_ul_min - 1) <= 1e-3


def test_a_running_pumps_unit_is_kept_while_it_is_good_enough() -> None:
    assert choose_rate(120.0, keep_unit="MM") == ("0.120", "MM")
    assert choose_rate(0.1666, keep_unit="UM") == ("9.996", "UH")


def test_at_an_end_of_what_the_pump_takes_the_digits_stay_inside() -> None:
    takes = (0.3923983, 28_557.83)
    assert choose_rate(takes[0]) == ("23.54", "UH")
    assert choose_rate(takes[0], within_ul_min=takes) == ("23.55", "UH")
    assert choose_rate(takes[1]) == ("28.56", "MM")
    assert choose_rate(takes[1], within_ul_min=takes) == ("28.55", "MM")


@given(st.floats(min_value=1.0, max_value=5000.0), st.sampled_from([None, "UM", "MM", "UH", "MH"]))
def test_between_the_ends_the_digits_are_the_nearest_ones(flow_ul_min: float, running: str | None) -> None:
    takes = (0.99 * flow_ul_min, 1.01 * flow_ul_min)
    assert choose_rate(flow_ul_min, running, within_ul_min=takes) == choose_rate(flow_ul_min, running)


def test_a_reply_is_taken_apart() -> None:
    reply = parse_reply(b"03I1.5", 3)
    assert (reply.prompt, reply.data, reply.alarm, reply.error) == ("I", "1.5", None, None)
    assert parse_reply(b"00A?S", 0).alarm == "S"
    assert parse_reply(b"00S?OOR", 0).error == "OOR"
    assert parse_reply(b"00S?", 0).error == ""


def test_volumes_come_with_their_unit() -> None:
    assert parse_volume_ul("1.500ML") == (1500.0, 1000.0)
    assert parse_dispensed_ul("I1.234W0.500ML") == (1234.0, 500.0)
    assert parse_rate_ul_min("1234.UM") == (1234.0, "UM")


def test_another_pumps_answer_is_refused() -> None:
    with pytest.raises(ProtocolError, match="pump 4 answered for pump 3"):
        parse_reply(b"04S", 3)


@given(st.binary(max_size=24))
def test_garbage_raises_only_our_own_errors(data: bytes) -> None:
    try:
        parse_reply(data, 0)
    except DriverError as error:
        assert str(error)


@given(st.text(alphabet="0123456789.IWUMLH-? ", max_size=16))
def test_garbled_numbers_raise_only_our_own_errors(text: str) -> None:
    for parse in (parse_rate_ul_min, parse_volume_ul, parse_dispensed_ul):
        try:
            values = parse(text)
        except DriverError:
            continue
        assert math.isfinite(float(values[0]))
