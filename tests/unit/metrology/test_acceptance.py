"""Oracles: JCGM 106, clauses 7.6.3 and 8, by hand; boundary values in decimal arithmetic."""

import math

import numpy as np
import pytest

from metrology.acceptance import (
    acceptance_interval,
    decide_on_bench,
    fit_for_verification,
    measurement_capability_index,
    unfitness_reason,
)
from metrology.conformity import CODE, Outcome, outcomes_of
from metrology.errors import InvalidInputError


def test_guard_bands():
    interval = acceptance_interval(0.1, 1.0)
    assert (interval.lower_pct, interval.upper_pct) == pytest.approx((-0.9, 0.9))
    assert acceptance_interval(0.1, 1.0, guard_factor=0).upper_pct == 1.0
    assert acceptance_interval(0.1, 1.0, guard_factor=-1).upper_pct == pytest.approx(1.1)
    one_sided = acceptance_interval(0.1, upper_pct=2.0)
    assert (one_sided.lower_pct, one_sided.upper_pct) == (-math.inf, pytest.approx(1.9))
    with pytest.raises(InvalidInputError, match="leave nothing"):
        acceptance_interval(1.5, 1.0)
    with pytest.raises(InvalidInputError, match="expanded_uncertainty_pct"):
        acceptance_interval(math.nan, 1.0)


def test_bench_decision_at_its_limits():
    error = np.array([0.0, 0.2, -0.2, 0.2000001, 0.3, 0.4, 0.4000001, -0.5, np.nan])
    names = [o.value for o in outcomes_of(decide_on_bench(error, 0.1, 0.3))]
    assert names == ["conforming"] * 3 + ["inconclusive"] * 3 + ["nonconforming"] * 2 + ["withheld"]
    simple = decide_on_bench(np.array([0.3, 0.3000001]), 0.1, 0.3, guard_factor=0)
    assert simple.tolist() == [CODE[Outcome.CONFORMING], CODE[Outcome.NONCONFORMING]]
    with pytest.raises(InvalidInputError, match="guard_factor"):
        decide_on_bench(error, 0.1, 0.3, guard_factor=-1)


def test_capability_and_fitness():
    # JCGM 106, 7.6.3: C_m = T / (4 u_m); at U = T/8 it is 4.
    assert measurement_capability_index(0.0625, -0.5, 0.5) == pytest.approx(4.0)
    assert measurement_capability_index(np.array([0.5, 0.25]), -1, 1).tolist() == [1.0, 2.0]
    with pytest.raises(InvalidInputError, match="std_pct"):
        measurement_capability_index(0.0, -1, 1)
    assert fit_for_verification(0.1, 0.3) is True
    assert fit_for_verification(np.array([0.3333, 0.334, np.nan, 0.0]), 1.0).tolist() == [True, False, False, True]
    assert unfitness_reason(0.3, 1.0) is None
    reason = unfitness_reason(0.5, 1.0)
    assert reason is not None
    assert reason.code == "reference_unfit"
