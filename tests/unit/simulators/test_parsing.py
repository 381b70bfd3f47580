# ruff: noqa: DTZ001, DTZ007 (local times without a zone are what is tested)
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.parsing import parse_integers, parse_registers, parse_times

FORMATS = ["%d/%m/%Y %H:%M:%S", "%Y-%m-%d %H:%M", "%Y%m%d%H%M%S", "%m/%d/%y %I:%M %p", "%d.%m.%Y %H:%M:%S.%f"]
EPOCH = datetime(1970, 1, 1)


@settings(deadline=None)  # other work may share the machine
@given(st.sampled_from(FORMATS), st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2068, 12, 31)), max_size=20),
       st.lists(st.text(max_size=20), max_size=5))  # fmt: skip
def test_times_agree_with_strptime(pattern: str, moments: list[datetime], noise: list[str]) -> None:
    texts = [f"{moment:{pattern}}" for moment in moments] + noise
    parsed = parse_times(pa.array(texts, type=pa.string()), pattern)
    for i, text in enumerate(texts):
        try:
            expected = datetime.strptime(text, pattern)
        except ValueError:
            assert parsed.bad[i]
            continue
        if not datetime(1970, 1, 1) <= expected < datetime(2200, 1, 1):
            assert parsed.bad[i]
        else:
            assert not parsed.bad[i]
            assert parsed.time_us[i] == (expected - EPOCH) // timedelta(microseconds=1)
            assert not parsed.utc[i]


IMPOSSIBLE = ["31/02/2016 00:00:00", "01/13/2016 00:00:00", "01/01/2016 24:00:00", "", "01/01/1969 00:00:00",
              "01/01/2016 00:60:00", "01-01-2016 00:00:00", "01/01/2016 00:00:0x", "00/01/2016 00:00:00"]  # fmt: skip


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_impossible_times_are_bad(text: str) -> None:
    parsed = parse_times(pa.array(["29/02/2016 23:59:59", text, "1/3/2016 0:28:55"]), "%d/%m/%Y %H:%M:%S")
    assert parsed.bad.tolist() == [False, True, False]


def test_iso_times_with_and_without_an_offset() -> None:
    texts = ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00", "2026-01-01 00:00:00", "2026-01-01T00:00:00.25Z", "x"]
    parsed = parse_times(pa.array(texts), "iso8601")
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert parsed.time_us[:4].tolist() == [start, start, start, start + 250_000]
    assert parsed.utc[:4].tolist() == [True, True, False, True]
    assert parsed.bad.tolist() == [False] * 4 + [True]


def test_epoch_numbers_and_typed_timestamps() -> None:
    assert parse_times(pa.array(["1.5", "z"]), "unix_s").time_us.tolist() == [1_500_000, 0]
    assert parse_times(pa.array([1500]), "unix_ms").time_us.tolist() == [1_500_000]
    typed = parse_times(pa.array([datetime(2026, 1, 1), None], type=pa.timestamp("ms", "UTC")), "iso8601")
    assert (typed.utc.all(), typed.bad.tolist()) == (True, [False, True])
    naive = parse_times(pa.array([datetime(2026, 1, 1)], type=pa.timestamp("ns")), "iso8601")
    assert not naive.utc.any()
    assert naive.time_us[0] == typed.time_us[0]


decimals = st.decimals(Decimal("-1e13"), Decimal("1e13"), places=7, allow_nan=False) | st.decimals(
    0, Decimal("1e9"), places=3, allow_nan=False
)


@settings(deadline=None)  # other work may share the machine
@given(st.lists(decimals | st.sampled_from([Decimal("4e+05"), Decimal("1e30"), Decimal(0)]), min_size=1),
       st.sampled_from([Fraction(1_000_000), Fraction(1000), Fraction(1), Fraction(1_000_000, 3600), Fraction(10**9)]),
       st.sampled_from([".", ","]))  # fmt: skip
def test_registers_are_exact(values: list[Decimal], factor: Fraction, sign: str) -> None:
    texts = [str(value).replace(".", sign) for value in values]
    micro, bad = parse_registers(pa.array(texts), factor, sign)
    for i, value in enumerate(values):
        exact = Fraction(value) * factor
        if abs(exact) <= 2**62 and value.adjusted() <= 18:
            assert not bad[i]
            assert micro[i] == round(exact)
        else:
            assert bad[i]


@pytest.mark.parametrize(
    "text", ["", " ", "12a", "1_000", "nan", "Infinity", "0x10", "1,5", "--1", "٣", "1 000", "1e999"]
)
def test_what_is_no_register_is_bad(text: str) -> None:
    _, bad = parse_registers(pa.array(["1", text, "4e+05"]), Fraction(1000))
    assert bad.tolist() == [False, True, False]


def test_a_decimal_point_is_refused_where_the_comma_is_the_sign() -> None:
    micro, bad = parse_registers(pa.array(["1,5", "1.500"]), Fraction(1_000_000), ",")
    assert (micro.tolist(), bad.tolist()) == ([1_500_000, 0], [False, True])


def test_typed_registers() -> None:
    assert parse_registers(pa.array([7, None]), Fraction(1000))[0].tolist() == [7000, 0]
    assert parse_registers(pa.array([7, None]), Fraction(1000))[1].tolist() == [False, True]
    micro, bad = parse_registers(pa.array([1.25, float("nan"), 1e300]), Fraction(1_000_000))
    assert (micro.tolist(), bad.tolist()) == ([1_250_000, 0, 0], [False, True, True])
    exact = pa.array([Decimal("12345678901.234567")], type=pa.decimal128(20, 6))
    assert parse_registers(exact, Fraction(1_000_000))[0].tolist() == [12_345_678_901_234_567]


def test_whole_numbers_in_bounds() -> None:
    numbers, bad = parse_integers(pa.array(["0", "128", "32768", "-1", "1.5", "x", "1e2"]), 0, 32767)
    assert bad.tolist() == [False, False, True, True, True, True, False]
    assert numbers[~bad].tolist() == [0, 128, 100]
    assert np.asarray(parse_integers(pa.array([3]), 0, 5)[0]).tolist() == [3]
