from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.convert import observed_us_of, register_micro_of, status_of
from metrology.quantities import MICRO

KWH, WH = Fraction(MICRO), Fraction(MICRO, 1000)


def test_times_as_texts_and_milliseconds_side_by_side():
    observed_us, bad = observed_us_of(["1970-01-01T00:00:01Z", 1500, "1970-01-01", -1, 2**80, -(2**63)])
    assert observed_us.tolist() == [1_000_000, 1_500_000, 0, -1000, 0, 0]
    assert bad.tolist() == [False, False, True, False, True, True]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63 // 1000), 2**63 // 1000)))
def test_milliseconds_are_exact(values):
    observed_us, bad = observed_us_of(values)
    assert observed_us.tolist() == [value * 1000 for value in values]
    assert not bad.any()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.decimals(0, 999_999_999, places=3).flatmap(lambda d: st.sampled_from([str(d), float(d)])),
            st.integers(0, 1),
        )
    )
)
def test_registers_of_any_kind_and_unit_side_by_side(cases):
    values = [value for value, _ in cases]
    factor_of = np.array([factor for _, factor in cases], dtype=np.intp)
    micro, invalid, inexact = register_micro_of(values, [KWH, WH], factor_of)
    expected = [round(Fraction(str(value)) * (KWH, WH)[factor]) for value, factor in cases]
    assert micro.tolist() == expected
    assert not invalid.any()
    assert not inexact.any()


@pytest.mark.parametrize(
    ("value", "is_invalid", "is_inexact"),
    [
        (float("nan"), True, False),
        (float("inf"), True, False),
        (1e308, False, True),
        (9_007_199_254.740993, False, True),
        ("9007199254.740993", False, False),
        ("", True, False),
        ("12,5", True, False),
        ("1e999999999", True, False),
        ("NaN", True, False),
        ("99999999999999999999", True, False),
    ],
)
def test_what_is_no_number_or_not_exact_is_told_apart(value, is_invalid, is_inexact):
    micro, invalid, inexact = register_micro_of([1.5, value, 2.5], [KWH], np.zeros(3, dtype=np.intp))
    assert invalid.tolist() == [False, is_invalid, False]
    assert inexact.tolist() == [False, is_inexact, False]
    assert micro.tolist()[::2] == [1_500_000, 2_500_000]


def test_statuses():
    status, bad = status_of([0, 32767, 32768, -1, 2**70])
    assert status.tolist() == [0, 32767, 0, 0, 0]
    assert status.dtype == np.int16
    assert bad.tolist() == [False, False, True, True, True]
