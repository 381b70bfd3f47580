"""Oracles: examples of JCGM 106, clause 7 (recomputed), scipy.stats, integration on a grid."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metrology.conformity import (
    OUTCOMES,
    NormalPrior,
    Outcome,
    Reason,
    decide,
    decide_errors,
    decide_many,
    outcomes_of,
    probability_nonconforming,
)
from metrology.errors import InvalidInputError

errors = st.floats(-20, 20)
stds = st.floats(0.01, 5)
mpes = st.floats(0.1, 10)
freedoms = st.floats(1, 200)


@pytest.mark.parametrize(
    ("y", "u", "lower", "upper", "conforming"),
    [(-5.47, 0.05, None, -5.40, 0.919), (507.0, 12.0, 490.0, None, 0.922), (13.6, 1.8, 12.5, 16.3, 0.663)],
)
def test_published_conformance_probabilities(y, u, lower, upper, conforming):
    p = probability_nonconforming(y, u, lower_pct=lower, upper_pct=upper)
    assert 1 - p == pytest.approx(conforming, abs=5e-4)


@given(errors, stds, mpes, freedoms)
def test_normal_and_t_agree_with_scipy(error, std, mpe, dof):
    normal = stats.norm(error, std)
    assert probability_nonconforming(error, std, mpe) == pytest.approx(normal.cdf(-mpe) + normal.sf(mpe), rel=1e-9)
    t = stats.t(dof, error, std)
    p = probability_nonconforming(error, std, mpe, degrees_of_freedom=dof)
    assert p == pytest.approx(t.cdf(-mpe) + t.sf(mpe), rel=1e-7)


def test_prior_is_the_textbook_posterior():
    # JCGM 106, A.4.4: precisions add, means are weighted by them.
    error, std, mean, spread = 1.4, 0.3, -0.2, 0.5
    precision = std**-2 + spread**-2
    posterior = stats.norm((error / std**2 + mean / spread**2) / precision, precision**-0.5)
    p = probability_nonconforming(error, std, 1.0, prior=NormalPrior(mean, spread))
    assert p == pytest.approx(posterior.cdf(-1.0) + posterior.sf(1.0), rel=1e-12)


@pytest.mark.parametrize(
    "case",
    [(1.5, 0.3, 5, 0.0, 0.5, 1), (3, 0.1, 2, 0, 0.5, 1), (1.2, 0.4, 50, 0.2, 1, 1), (-4, 0.2, 10, 0, 0.4, 1),
     (1.1, 0.3, 1, 0, 0.5, 1), (30, 1, 3, 0, 1, 2)],
)  # fmt: skip
def test_student_t_with_prior_agrees_with_integration_by_grid(case):
    error, std, dof, mean, spread, mpe = case
    # Midpoint rule over cells that end at the limits: no cell straddles the step.
    far = max(abs(error), mpe) + 12 * spread
    parts = {}
    for name, start, end in [("below", -far, -mpe), ("in", -mpe, mpe), ("above", mpe, far)]:
        edges = np.linspace(start, end, 400_001)
        x = (edges[1:] + edges[:-1]) / 2
        parts[name] = np.sum(stats.t.pdf((x - error) / std, dof) * stats.norm.pdf((x - mean) / spread)) * (x[1] - x[0])
    expected = (parts["below"] + parts["above"]) / sum(parts.values())
    p = probability_nonconforming(error, std, mpe, degrees_of_freedom=dof, prior=NormalPrior(mean, spread))
    assert p == pytest.approx(expected, rel=1e-7)


@given(errors, stds, mpes, st.floats(-2, 2), st.floats(0.05, 5))
def test_t_of_infinite_freedom_is_the_normal(error, std, mpe, mean, spread):
    prior = NormalPrior(mean, spread)
    many = probability_nonconforming(error, std, mpe, degrees_of_freedom=math.inf, prior=prior)
    assert many == pytest.approx(probability_nonconforming(error, std, mpe, prior=prior), rel=1e-9, abs=1e-300)
    plain = probability_nonconforming(error, std, mpe, degrees_of_freedom=math.inf)
    assert plain == pytest.approx(probability_nonconforming(error, std, mpe), rel=1e-9, abs=1e-300)


@given(
    st.lists(st.tuples(errors, stds, mpes, st.sampled_from([1.0, 4.0, 30.0, math.inf])), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_scalar_equals_vector(rows, with_t, with_prior):
    prior = NormalPrior(0.1, 0.7) if with_prior else None
    error, std, mpe, dof = (np.array(c) for c in zip(*rows, strict=True))
    many = probability_nonconforming(error, std, mpe, degrees_of_freedom=dof if with_t else None, prior=prior)
    for i, row in enumerate(rows):
        one = probability_nonconforming(*row[:3], degrees_of_freedom=row[3] if with_t else None, prior=prior)
        assert isinstance(one, float)
        assert many[i] == pytest.approx(one, rel=1e-6, abs=1e-12)
    codes = decide_many(many)
    assert outcomes_of(codes) == [OUTCOMES[int(decide_many(float(p)))] for p in many]


@given(st.floats(0, 10), st.floats(0, 10), stds, mpes, st.none() | freedoms)
def test_probability_grows_with_the_size_of_the_error(a, b, std, mpe, dof):
    small, large = sorted((a, b))
    p_small = probability_nonconforming(small, std, mpe, degrees_of_freedom=dof)
    p_large = probability_nonconforming(-large, std, mpe, degrees_of_freedom=dof)
    assert p_small <= p_large + 1e-12
    assert 0 <= p_small <= 1 + 1e-12


def test_broadcasting_follows_numpy():
    p = probability_nonconforming(np.zeros((3, 1)), np.full(4, 0.5), 1.0)
    assert p.shape == (3, 4)
    assert probability_nonconforming(0.0, np.array([]), 1.0).shape == (0,)


def test_certain_measurement_and_limits_that_belong_to_the_interval():
    error = np.array([-1.0, 1.0, 1.0000001, -1.0000001, 0.0])
    assert probability_nonconforming(error, 0.0, 1.0).tolist() == [0, 0, 1, 1, 0]
    assert probability_nonconforming(error, 0.0, 1.0, degrees_of_freedom=5.0).tolist() == [0, 0, 1, 1, 0]
    assert probability_nonconforming(1.0, 0.0, 0.5, prior=NormalPrior(0.0, 1.0)) == 1.0


def test_nan_stays_with_its_own_meter():
    p = probability_nonconforming(np.array([np.nan, 0.0, 5.0, 0.0]), np.array([0.1, np.nan, 0.1, 0.1]), 1.0)
    assert np.isnan(p).tolist() == [True, True, False, False]
    assert [o.value for o in outcomes_of(decide_many(p))] == ["withheld", "withheld", "nonconforming", "conforming"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"std_pct": -0.1, "mpe_pct": 1.0}, "std_pct = -0.1"),
        ({"std_pct": 0.1, "mpe_pct": -1.0}, "mpe_pct = -1"),
        ({"std_pct": 0.1}, "no limit"),
        ({"std_pct": 0.1, "mpe_pct": 1.0, "upper_pct": 1.0}, "both given"),
        ({"std_pct": 0.1, "lower_pct": 2.0, "upper_pct": 1.0}, "lower_pct = 2"),
        ({"std_pct": 0.1, "mpe_pct": 1.0, "degrees_of_freedom": 0.5}, "degrees_of_freedom = 0.5"),
        ({"std_pct": 0.1, "mpe_pct": 1.0, "prior": NormalPrior(0.0, 0.0)}, "prior.std_pct = 0"),
    ],
)
def test_impossible_arguments_are_refused_by_name(arguments, part):
    with pytest.raises(InvalidInputError, match=part):
        probability_nonconforming(0.5, **arguments)


def test_decide_many_puts_thresholds_on_the_inconclusive_side():
    p = np.array([0.0, 0.05, np.nextafter(0.05, 0), 0.5, 0.95, np.nextafter(0.95, 1), 1.0, np.nan])
    assert [o.value for o in outcomes_of(decide_many(p))] == [
        "conforming", "inconclusive", "conforming", "inconclusive", "inconclusive", "nonconforming", "nonconforming",
        "withheld",
    ]  # fmt: skip
    assert decide_many(p, withheld=p < 1).tolist() == [3, 3, 3, 3, 3, 3, 1, 3]
    with pytest.raises(InvalidInputError, match="ordered"):
        decide_many(p, alarm=0.1, clear=0.2)


def test_decide_gives_the_figures_it_rests_on():
    bad = decide(2.0, 0.3, 1.0)
    assert bad.outcome is Outcome.NONCONFORMING
    assert bad.reasons[0].code == "outside_limits"
    assert bad.reasons[0].data["mpe_pct"] == 1.0
    assert bad.p_nonconforming == pytest.approx(stats.norm.sf(-1 / 0.3), rel=1e-6)
    assert decide(0.0, 0.3, 1.0).outcome is Outcome.CONFORMING
    assert decide(1.0, 0.3, 1.0).reasons[0].code == "straddles_limit"
    assert decide(math.nan, 0.3, 1.0).reasons[0].code == "no_estimate"
    few = Reason("too_few_readings", "72 % of readings were collected, 99 % are needed", {"share": 0.72})
    withheld = decide(2.0, 0.3, 1.0, withheld=[few])
    assert (withheld.outcome, withheld.reasons) == (Outcome.WITHHELD, (few,))


def test_ignorance_is_not_nonconformity():
    # Without a prior, ±100 % of uncertainty leaves 98 % of probability outside ±2 %: half of it on either side.
    blind = decide(0.0, 100.0, 2.0)
    assert blind.p_nonconforming > 0.95
    assert (blind.outcome, blind.reasons[0].code) == (Outcome.INCONCLUSIVE, "uncertainty_too_large")
    assert decide(0.0, math.inf, 2.0).outcome is Outcome.INCONCLUSIVE
    assert decide(0.0, 100.0, 2.0, degrees_of_freedom=3, prior=NormalPrior(0.0, 90.0)).outcome is Outcome.INCONCLUSIVE
    # A stopped meter is seen in spite of a large uncertainty.
    assert decide(-100.0, 10.0, 2.0).outcome is Outcome.NONCONFORMING
    assert decide(100.0, 10.0, 2.0).outcome is Outcome.NONCONFORMING


@given(st.lists(st.tuples(errors, stds, mpes), min_size=1, max_size=8), st.none() | freedoms)
def test_decide_errors_is_decide_for_each(rows, dof):
    error, std, mpe = (np.array(c) for c in zip(*rows, strict=True))
    codes, p = decide_errors(error, std, mpe, degrees_of_freedom=dof)
    for code, probability, row in zip(codes, p, rows, strict=True):
        one = decide(*row, degrees_of_freedom=dof)
        assert OUTCOMES[code] is one.outcome
        assert probability == pytest.approx(one.p_nonconforming, rel=1e-12)
    # It differs from the rule on p alone exactly where neither side by itself is likely enough (scipy's tails).
    law = stats.norm() if dof is None else stats.t(dof)
    larger = np.maximum(law.cdf((-mpe - error) / std), law.sf((mpe - error) / std))
    clearly = np.abs(larger - 0.95) > 1e-9
    assert ((codes != decide_many(p)) == ((p > 0.95) & (larger <= 0.95)))[clearly].all()


def test_decide_errors_withholds_where_asked():
    codes, _ = decide_errors(np.array([0.0, 5.0, 5.0]), 0.1, 1.0, withheld=np.array([False, False, True]))
    assert [o.value for o in outcomes_of(codes)] == ["conforming", "nonconforming", "withheld"]
