"""Register arithmetic against Python's unbounded integers and fractions, and resolution against simulation."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError
from metrology.quantities import MAX_REGISTER_MICRO
from metrology.registers import (
    difference_standard_uncertainty,
    modulus_of_counter_micro,
    modulus_of_digits_micro,
    multiply_micro,
    pulse_weight_micro,
    register_difference_micro,
    register_step,
    resolution_standard_uncertainty,
    transformer_multiplier,
)

MODULI = st.integers(2, MAX_REGISTER_MICRO)


@given(MODULI, st.data())
def test_differences_are_invariant_under_rollover(modulus, data):
    """A register that starts anywhere and counts on shows the same difference, whether or not it passes its end."""
    step = data.draw(st.integers(0, modulus - 1))
    starts = data.draw(st.lists(st.integers(0, modulus - 1), min_size=1, max_size=10))
    start = np.array(starts, dtype=np.int64)
    end = np.array([(s + step) % modulus for s in starts], dtype=np.int64)
    np.testing.assert_array_equal(register_difference_micro(start, end, modulus), np.full(len(starts), step))
    assert [register_difference_micro(int(s), int(e), modulus) for s, e in zip(start, end, strict=True)] == [
        step
    ] * len(starts)


@given(MODULI, st.data())
def test_differences_add_up_over_intermediate_readings(modulus, data):
    first = data.draw(st.integers(0, modulus - 1))
    steps = data.draw(st.lists(st.integers(0, (modulus - 1) // 4), min_size=1, max_size=4))
    readings = np.array([(first + sum(steps[:i])) % modulus for i in range(len(steps) + 1)], dtype=np.int64)
    parts = register_difference_micro(readings[:-1], readings[1:], modulus)
    assert sum(int(p) for p in parts) == register_difference_micro(int(readings[0]), int(readings[-1]), modulus)


def test_the_rollover_of_a_counter_of_23_bits():
    """838860.7 Wh is the last state of 2**23 states of 0.1 Wh."""
    modulus = modulus_of_counter_micro(2**23, 100)
    assert modulus == 838_860_800
    assert register_difference_micro(838_860_700, 0, modulus) == 100
    assert modulus_of_digits_micro(5) == 100_000 * 1_000_000


@pytest.mark.parametrize(
    ("start", "end", "modulus", "words"),
    [
        (100, 5, 100, "start register 100"),
        (5, 100, 100, "end register 100"),
        (-1, 5, 100, "start register -1"),
        (0, 0, 1, "modulus_micro"),
        (0, 0, MAX_REGISTER_MICRO + 1, "modulus_micro"),
        (0.5, 1, 100, "start must be integers"),
    ],
)
def test_registers_out_of_range_are_refused(start, end, modulus, words):
    with pytest.raises(InvalidInputError, match=words):
        register_difference_micro(start, end, modulus)


def test_impossible_counters_are_refused():
    for digits in (0, -1, 40):
        with pytest.raises(InvalidInputError):
            modulus_of_digits_micro(digits)


def test_a_step_says_what_cannot_be_known():
    start = np.array([90, 90, 10, 10], dtype=np.int64)
    end = np.array([95, 5, 5, 20], dtype=np.int64)
    step = register_step(start, end, 100, np.array([20, 20, 20, 120], dtype=np.int64))
    np.testing.assert_array_equal(step.difference_micro, [5, 15, 95, 10])
    np.testing.assert_array_equal(step.rolled_over, [False, True, True, False])
    np.testing.assert_array_equal(step.plausible, [True, True, False, True])  # the third was reset or exchanged
    np.testing.assert_array_equal(step.ambiguous, [False, False, False, True])  # 10 or 110 of at most 120


@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=10),
    st.fractions(min_value=-1000, max_value=1000, max_denominator=10**6),
)
def test_a_multiplier_is_exact_and_rounds_once_half_to_even(values, factor):
    expected = [round(value * factor) for value in values]
    np.testing.assert_array_equal(multiply_micro(np.array(values, dtype=np.int64), factor), expected)
    assert multiply_micro(values[0], factor) == expected[0]


@given(st.integers(-MAX_REGISTER_MICRO, MAX_REGISTER_MICRO), st.fractions())
def test_a_multiplier_never_overflows(value, factor):
    if abs(value * factor) > MAX_REGISTER_MICRO:
        with pytest.raises(InvalidInputError, match="exceeds"):
            multiply_micro(value, factor)
    else:
        assert multiply_micro(value, factor) == round(value * factor)


def test_halves_go_to_the_even_neighbour():
    values = np.arange(-7, 8, dtype=np.int64)
    np.testing.assert_array_equal(multiply_micro(values, Fraction(1, 2)), np.rint(values / 2))
    np.testing.assert_array_equal(multiply_micro(values, Fraction(-3, 2)), np.rint(values * -1.5))


def test_transformers_and_pulses():
    factor = transformer_multiplier(600, 5, 10_000, 100)
    assert factor == 12_000
    assert multiply_micro(1_234_567, factor) == 14_814_804_000
    assert transformer_multiplier(75, 5) == 15
    assert transformer_multiplier(100, 3) == Fraction(100, 3)
    # 1200 imp/kWh: one pulse is 833.33... millionths; 1200 pulses are 1 kWh exactly
    assert multiply_micro(1200, pulse_weight_micro(1200)) == 1_000_000
    assert multiply_micro(1, pulse_weight_micro(1200)) == 833
    for wrong in (lambda: transformer_multiplier(0, 5), lambda: pulse_weight_micro(0)):
        with pytest.raises(InvalidInputError, match="plate"):
            wrong()


def test_resolution_against_simulation():
    """A register that rounds to 0.1 indicates true values that are spread over many steps."""
    rng = np.random.default_rng(20260101)
    start, end = rng.uniform(0, 1000, (2, 400_000))
    error_start, error_end = np.round(start, 1) - start, np.round(end, 1) - end
    assert np.std(error_start) == pytest.approx(resolution_standard_uncertainty(0.1), rel=5e-3)
    assert np.std(error_end - error_start) == pytest.approx(difference_standard_uncertainty(0.1), rel=5e-3)
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="resolution"):
            resolution_standard_uncertainty(wrong)
