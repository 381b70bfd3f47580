"""Missing readings come back, clocks are set, nothing is asked for needlessly: simulated days on a real database."""

from datetime import timedelta

import numpy as np
from simulated_days import simulated_days

from simulators.concentrator import Behaviour
from simulators.scenario import Scenario

SCENARIO = Scenario.model_validate(
    {
        "name": "gaps",
        "utility": "gaptown",
        "seed": 5,
        "start": "2026-03-02T00:00:00Z",
        "days": 3,
        "electricity": {
            "zones": 2,
            "customers_per_zone": [8, 8],
            "interval_s": 1800,
            "resolution": "0.001",
            "accuracy_class": "A",
            "mpe_pct": 2.0,
            "healthy_sd_pct": 0.4,
            "reference_sd_pct": 0.2,
            "fault_pct": [6.0, 9.0],
            "clock_ahead_s": 120.0,
            "defects": {"missing_share": 0.02, "gaps": 2, "gap_hours": 6.0},
        },
    }
)
PERFECT = Behaviour(lost_share=0.0, unreachable_share=0.0)
HOUR = timedelta(hours=1)


def test_missing_readings_come_back_and_clocks_are_set(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO, behaviour=PERFECT) as days:
        settled = SCENARIO.end - 4 * HOUR
        ahead_before = days.concentrators.clock_ahead_s.copy()
        days.pass_time(SCENARIO.start, SCENARIO.end, HOUR)
        assert days.collection_rate(SCENARIO.start, settled) == 1.0
        # Each answer is an ordinary reading that leads to the command that asked for it.
        repaired = days.query(
            "select count(*) from reading r join command_answer a using (batch_id) where r.message_no = a.message_no"
        )
        assert repaired == days.query("select sum(readings)::bigint from command_answer")
        asked = days.query("select sum(points)::bigint, sum(arrived)::bigint from command where kind = 'read_profile'")
        assert asked == [(repaired[0][0], repaired[0][0])]
        off = np.abs(ahead_before) > 2 * days.settings.clock.limit_s
        assert off.sum() > 10
        assert np.abs(days.concentrators.clock_ahead_s[off]).max() <= PERFECT.clock_residual_s
        assert np.abs(days.concentrators.clock_ahead_s).max() <= 2 * days.settings.clock.limit_s
