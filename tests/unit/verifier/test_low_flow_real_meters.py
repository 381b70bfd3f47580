"""A year of real water meters, read by the hour: what the checks on small loads say of meters that go on as before."""

import zipfile
from collections import Counter
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from test_steps_real_meters import parse

from metrology.quantities import Medium
from verifier.comparison_budget import CumulativeSeries
from verifier.light_load import WEEK_US, SmallLoads, digest_week, week_start
from verifier.light_load_findings import LightLoadMeter, light_load_findings
from verifier.light_load_settings import LightLoadSettings

SETTINGS = LightLoadSettings()
METER = LightLoadMeter(1, Medium.WATER, SmallLoads(0.05, 0.0))


def findings(series: CumulativeSeries):
    """Of all whole weeks of a meter."""
    first, last = week_start(int(series.observed_us[0])), int(series.observed_us[-1])
    weeks = [digest_week(series, METER.loads, start, SETTINGS) for start in range(first, last - WEEK_US, WEEK_US)]
    return light_load_findings(METER, [week for week in weeks if week is not None], SETTINGS)


@pytest.mark.slow
def test_real_meters_give_no_false_alarm_and_their_lost_small_loads_are_found(swm_file: Path) -> None:
    with zipfile.ZipFile(swm_file) as archive, archive.open(archive.namelist()[0]) as lines:
        rows, keys = parse(TextIOWrapper(lines, "utf-8"))
    kinds: Counter[str] = Counter()
    told = []
    found = 0
    for number in range(1, len(keys) + 1):
        own = rows[rows["meter_id"] == number]
        times, first = np.unique(own["observed_us"], return_index=True)
        total = np.maximum.accumulate(own["register_micro"][first] / 1e6)
        said = findings(CumulativeSeries(times, total, 0.001))
        kinds.update({one.kind for one in said})
        lost_flow = [one for one in said if one.kind == "low_flow_lost"]
        told += [(number, one.severity, one.detail["never_stopped_before"]) for one in lost_flow]
        # From 60 % of its time on the meter loses the hours with a mean below 15 L/h.
        step, hours = np.diff(total, prepend=total[0]), np.diff(times, prepend=times[0] - 3_600_000_000) / 3.6e9
        lost = (np.arange(step.size) >= 0.6 * step.size) & (step / hours < 0.015)
        faulty = findings(CumulativeSeries(times, np.cumsum(np.where(lost, 0.0, step)), 0.001))
        found += any(one.kind == "low_flow_lost" for one in faulty)
    # No alarm. Noted is one whose flow hardly ever stopped, then did for sixteen weeks: as a mended leak does.
    assert told == [(70, "info", True)]
    assert 5 <= kinds["continuous_flow"] <= 25
    assert found >= 30
