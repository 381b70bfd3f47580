"""Proportions of a lot and its evaluation at expiry. Oracles: scipy's binomial test, brute force over every lot."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metrology.conformity import Outcome
from metrology.errors import InvalidInputError
from metrology.proportions import (
    MESSEV_35,
    ProportionInterval,
    evaluate_lot,
    latest_conforming_age,
    sample_proportion,
)
from metrology.quantities import Medium


def _interval(lower, upper):
    return ProportionInterval((lower + upper) / 2, lower, upper, 0.95, "given")


@settings(max_examples=60, deadline=None)
@given(lot=st.integers(1, 60), data=st.data())
def test_finite_lot_interval_against_every_possible_lot(lot, data):
    n = data.draw(st.integers(1, lot))
    d = data.draw(st.integers(0, n))

    def probability(units, low, high):
        return Fraction(sum(comb(units, x) * comb(lot - units, n - x) for x in range(low, high + 1)), comb(lot, n))

    tail = Fraction(1, 40)
    possible = [k for k in range(d, lot - (n - d) + 1) if probability(k, 0, d) > tail and probability(k, d, n) > tail]
    found = sample_proportion(n, d, lot)
    assert (found.lower * lot, found.upper * lot) == pytest.approx((possible[0], possible[-1]))


def test_large_lot_tends_to_clopper_pearson():
    finite, endless = sample_proportion(200, 7, 2_000_000), sample_proportion(200, 7)
    assert (finite.lower, finite.upper) == pytest.approx((endless.lower, endless.upper), abs=1e-5)
    assert float(stats.binom.cdf(7, 200, endless.upper)) == pytest.approx(0.025)
    assert float(stats.binom.sf(6, 200, endless.lower)) == pytest.approx(0.025)


def test_whole_lot_inspected_leaves_no_doubt():
    found = sample_proportion(50, 3, 50)
    assert (found.lower, found.estimate, found.upper) == (0.06, 0.06, 0.06)


@pytest.mark.parametrize(
    ("lower", "upper", "outcome"),
    [
        (0.0, 0.049, Outcome.CONFORMING),
        (0.0, 0.05, Outcome.CONFORMING),  # exactly 95 % conform: at least 95 %
        (0.0, 0.0501, Outcome.INCONCLUSIVE),
        (0.05, 0.2, Outcome.INCONCLUSIVE),
        (0.0501, 0.2, Outcome.NONCONFORMING),
    ],
)
def test_interval_decides_the_lot(lower, upper, outcome):
    evaluation = evaluate_lot(_interval(lower, upper), MESSEV_35.required_conforming)
    assert evaluation.outcome is outcome
    assert evaluation.reasons[0].data["upper"] == upper


def test_a_small_clean_sample_does_not_prove_95_percent():
    """0.95^71 = 0.0262 and 0.95^72 = 0.0249: 72 clean meters are the fewest that exclude more than 5 % at 97.5 %."""
    assert evaluate_lot(sample_proportion(71, 0)).outcome is Outcome.INCONCLUSIVE
    assert evaluate_lot(sample_proportion(72, 0)).outcome is Outcome.CONFORMING
    assert evaluate_lot(sample_proportion(72, 30)).outcome is Outcome.NONCONFORMING


def test_extension_years_of_the_rule():
    assert {medium: MESSEV_35.extension_years[medium] for medium in Medium} == {"electricity": 5, "gas": 4, "water": 3}


def test_latest_conforming_age_stops_at_the_first_break():
    def upper_at(age):
        return _interval(0.0, 0.02 if age < 10.3 or age > 12 else 0.06)

    assert latest_conforming_age(upper_at, 8.0, 15.0) == 10.25
    assert latest_conforming_age(upper_at, 8.0, 10.0) == 10.0
    assert latest_conforming_age(upper_at, 11.0, 15.0) is None
    assert latest_conforming_age(upper_at, 8.0, 8.0) == 8.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: sample_proportion(0, 0),
        lambda: sample_proportion(10, 11),
        lambda: sample_proportion(10, 1, 9),
        lambda: sample_proportion(10, 1, confidence=1.0),
        lambda: evaluate_lot(_interval(0, 1), 1.0),
        lambda: latest_conforming_age(lambda _: _interval(0, 0), 5, 4),
    ],
)
def test_impossible_counts_are_refused(call):
    with pytest.raises(InvalidInputError):
        call()
