"""The provinces' rules for running errors: sufficiency, refusal of zones, faults, monitoring, rounding."""

from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrology.errors import InvalidInputError, NotFoundError
from metrology.regulation import get_regulation
from metrology.running_error import data_shortfalls, is_monitorable, meter_faults, round_error_pct, zone_refusals

HEBEI = get_regulation("jjf-hebei-174-2020")
JIANGXI = get_regulation("jjf-jiangxi-017-2020")
YUNNAN = get_regulation("jjf-yunnan-21-2022")


@pytest.mark.parametrize("regulation", [HEBEI, YUNNAN])
@pytest.mark.parametrize(
    ("success_pct", "groups", "missing"),
    [
        (99.0, 300, []),
        (98.99, 300, ["collection_success_pct_min"]),
        (99.0, 299, ["data_groups_min"]),
        (float("nan"), 0, ["collection_success_pct_min", "data_groups_min"]),
    ],
)
def test_data_suffice_from_99_percent_and_300_groups_on(regulation, success_pct, groups, missing):
    assert [s.rule.name for s in data_shortfalls(regulation, success_pct, groups)] == missing


@pytest.mark.parametrize(
    ("success_pct", "groups", "loss_pct", "refusals"),
    [
        (90.0, 300, 10.0, []),
        (90.0, 300, 0.0, []),
        (89.9, 300, 5.0, ["zone_collection_success_pct_min"]),
        (95.0, 299, 5.0, ["zone_data_groups_min"]),
        (95.0, 300, -0.1, ["zone_monthly_loss_pct_min"]),
        (95.0, 300, 10.1, ["zone_monthly_loss_pct_max"]),
    ],
)
def test_jiangxi_refuses_zones(success_pct, groups, loss_pct, refusals):
    found = zone_refusals(JIANGXI, success_pct, groups, loss_pct)
    assert [s.rule.name for s in found] == refusals
    assert all(s.rule.clause == "5.1.3" for s in found)


def test_an_unknown_loss_refuses_the_zone():
    assert len(zone_refusals(JIANGXI, 95.0, 300, float("nan"))) == 2


def test_hebei_faults():
    largest = 60 * 220 * 24 / 1000  # 316.8 kWh a day
    energy = np.array([largest, largest + 0.1, 0.0, -0.001, 0.0, 0.0, np.nan])
    current = np.array([5.0, 5.0, 0.1, 5.0, 0.11, -0.11, 5.0])
    faults = meter_faults(HEBEI, energy, current, 60.0, 220.0)
    assert faults.fly.tolist() == [False, True, False, False, False, False, False]
    assert faults.reverse.tolist() == [False, False, False, True, False, False, False]
    assert faults.stopped.tolist() == [False, False, False, False, True, True, False]
    assert not meter_faults(HEBEI, 900.0, 5.0, 60.0, 220.0, phases=3).fly
    assert meter_faults(HEBEI, 951.0, 5.0, 60.0, 220.0, phases=3).fly
    with pytest.raises(InvalidInputError, match="plate"):
        meter_faults(HEBEI, 1.0, 1.0, 0.0, 220.0)
    with pytest.raises(InvalidInputError, match="1 or 3"):
        meter_faults(HEBEI, 1.0, 1.0, 60.0, 220.0, phases=2)
    with pytest.raises(NotFoundError, match="fly_ratio_max"):
        meter_faults(YUNNAN, 1.0, 1.0, 60.0, 220.0)


def test_jiangxi_monitors_after_30_days_in_a_row_with_a_tenth_of_the_basic_current():
    days = np.full(30, 0.5)
    assert is_monitorable(JIANGXI, days, 5.0)
    assert not is_monitorable(JIANGXI, days[:29], 5.0)
    broken = np.full(59, 0.5)
    broken[29] = 0.49
    assert not is_monitorable(JIANGXI, broken[:59], 5.1)
    assert is_monitorable(JIANGXI, np.append(broken, 0.5), 5.0)
    broken[[10, 40]] = np.nan
    assert not is_monitorable(JIANGXI, broken, 5.0)


@given(st.decimals(-20, 20, places=2), st.sampled_from([("1", Decimal("0.1")), ("2", Decimal("0.2"))]))
def test_running_errors_are_rounded_as_their_decimals_say(error, by_class):
    accuracy_class, interval = by_class
    expected = (error / interval).quantize(Decimal(1), rounding=ROUND_HALF_EVEN) * interval
    assert round_error_pct(HEBEI, float(error), accuracy_class) == float(expected)


def test_rounding_of_arrays():
    rounded = round_error_pct(HEBEI, np.array([0.35, 0.45, -0.05, 1.74]), "1")
    np.testing.assert_array_equal(rounded, [0.4, 0.4, 0.0, 1.7])
