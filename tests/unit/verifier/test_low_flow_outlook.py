"""Each reason why lost small loads can't be known from a meter's readings, and none where they can."""

import numpy as np
import pytest
from households import draws, register

from metrology.quantities import Medium
from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import SmallLoads
from verifier.light_load_settings import LightLoadSettings
from verifier.low_flow_outlook import low_flow_unknown, whole_weeks

SETTINGS = LightLoadSettings()
LOADS = SmallLoads(0.05, 0.0)


@pytest.fixture(scope="module")
def flow():
    return draws(np.random.default_rng(1), 22, trickles=2.0)


def codes(series, medium=Medium.WATER):
    return [one.code for one in low_flow_unknown(medium, LOADS, whole_weeks(series, LOADS, SETTINGS), SETTINGS)]


def test_by_quarter_hours_nothing_stands_in_the_way(flow):
    assert codes(register(flow)) == []


def test_by_the_hour_the_smaller_ones_can_not_be_known(flow):
    hourly = register(flow, minutes=60)
    weeks = whole_weeks(hourly, LOADS, SETTINGS)
    [reason] = low_flow_unknown(Medium.WATER, LOADS, weeks, SETTINGS)
    assert (reason.code, reason.data) == ("long_blocks", {"block_s": 3600, "loss_below": 0.0125})
    [gas] = low_flow_unknown(Medium.GAS, LOADS, weeks, SETTINGS)
    assert "only if it halves" in gas.text


def test_none_can_be_known_of_a_coarse_register_or_without_readings(flow):
    assert codes(register(flow, resolution=1.0)) == ["coarse_readings"]
    assert codes(CumulativeSeries(np.empty(0, np.int64), np.empty(0), 0.001)) == ["coarse_readings"]


@pytest.mark.parametrize(("minutes", "weeks", "expected"), [(15, 9, ["short_history"]), (60, 16, ["short_history"])])
def test_a_short_history(flow, minutes, weeks, expected):
    assert codes(register(flow[: weeks * 10_080], minutes=minutes)) == expected


def test_without_use_or_without_small_loads(flow):
    assert codes(register(np.where(flow > 0.05, 0.0, flow))) == ["rarely_used"]
    assert codes(register(np.where(flow < 0.1, 0.0, 4 * flow))) == ["few_small_loads"]
