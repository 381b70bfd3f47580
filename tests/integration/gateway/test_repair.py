"""Missing readings come back, clocks are set, nothing is asked for needlessly: simulated days on a real database."""

from datetime import timedelta

import numpy as np
from simulated_days import simulated_days

from gateway.repair.link import Received
from gateway.repair.settings import ClockSettings, RepairSettings
from simulators.concentrator import Behaviour
from simulators.scenario import Scenario
from verifier.follower import Follower
from verifier.settings import VerifierSettings

SCENARIO = Scenario.model_validate(
    {
        "name": "gaps",
        "utility": "gaptown",
        "seed": 6,
        "start": "2026-03-02T00:00:00Z",
        "days": 2,
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
NO_SYNC = ClockSettings(synchronise=False)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


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


def test_what_a_meter_has_lost_is_given_up_with_the_reason_and_never_asked_for_again(migrated_dsn):
    behaviour = Behaviour(lost_share=0.5, unreachable_share=0.3)
    settings = RepairSettings(retry_first_s=1800, retry_longest_s=1800, attempts_max=20, clock=NO_SYNC)
    with simulated_days(migrated_dsn, SCENARIO, settings, behaviour) as days:
        days.pass_time(SCENARIO.start, SCENARIO.end, HOUR)
        rate = days.collection_rate(SCENARIO.start, SCENARIO.end - 8 * HOUR)
        assert 0.98 < rate < 1.0
        outcomes = dict(days.query("select reason, count(*) from command_target where outcome = 'given_up' group by 1"))
        assert list(outcomes) == ["memory_lost"]
        tried_again = "select count(*) from command_target where reason = 'unreachable' and outcome = 'retry'"
        assert days.query(tried_again)[0][0] > 0
        # No grid point was asked for again after it was given up, nor while it was asked for.
        overlaps = (
            "select count(*) from command_target a join command ca using (command_id) join command_target b"
            " using (meter_id) join command cb on cb.command_id = b.command_id"
            " where a.starts_at < b.ends_at and b.starts_at < a.ends_at and ca.created_at < cb.created_at"
            " and (a.outcome is distinct from 'retry' or cb.created_at < a.retry_at)"
        )
        assert days.query(overlaps) == [(0,)]
        # What is left is known to be lost: nothing is awaited any more before the last hours.
        assert days.query("select min(whole_until) from meter_route")[0][0] > SCENARIO.end - 12 * HOUR


def test_a_deaf_concentrator_is_asked_ever_more_rarely(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO) as days:
        days.link.is_deaf = True
        days.pass_time(SCENARIO.start, SCENARIO.end, HOUR)
        assert 2 < len(days.link.commands) < 12
        assert days.query("select distinct state, reason from command where closed_at is not null") == [
            ("expired", "no acknowledgement")
        ]
        # It is not the meters' fault: nothing is given up.
        assert days.query("select count(*) from command_target where outcome = 'given_up'") == [(0,)]
        days.link.is_deaf = False
        days.pass_time(SCENARIO.end, SCENARIO.end + 2 * DAY, HOUR)
        assert days.query("select unanswered, asks_after from concentrator") == [(0, None)]
        assert days.collection_rate(SCENARIO.start, SCENARIO.end) > 0.995


def test_killed_and_begun_anew_at_every_step_it_asks_for_nothing_twice(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO, behaviour=PERFECT) as days:
        step = days.repair_until_idle

        def and_die(now):
            step(now)
            days.repair = days.new_repair()  # what the old one had not committed is forgotten

        days.repair_until_idle = and_die
        days.pass_time(SCENARIO.start, SCENARIO.end, HOUR)
        sent = [command.key for command in days.link.commands]
        assert len(sent) > 3
        # One that had been published but not noted as sent goes out again, under its id, and is not carried out twice.
        assert days.concentrators.executed == len(set(sent))
        assert days.query("select count(*) from command") == [(len(set(sent)),)]
        asked = days.query("select sum(points)::bigint, sum(arrived)::bigint from command where kind = 'read_profile'")
        assert asked[0][0] == asked[0][1]
        assert days.collection_rate(SCENARIO.start, SCENARIO.end - 4 * HOUR) == 1.0


def test_a_concentrator_that_is_silent_as_a_whole_is_not_asked_until_it_comes_back(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO, behaviour=PERFECT) as days:
        days.settings = RepairSettings(clock=NO_SYNC)
        days.repair = days.new_repair()
        days.pass_time(SCENARIO.start, SCENARIO.start + DAY, HOUR)
        before = len(days.link.commands)
        until = SCENARIO.start + DAY
        for hour in range(1, 25):
            days.repair_until_idle(until + hour * HOUR)
        assert len(days.link.commands) <= before + 1  # what was settled before it fell silent
        days.pass_time(until + DAY, SCENARIO.end + DAY, HOUR)
        assert days.collection_rate(SCENARIO.start, SCENARIO.end - 4 * HOUR) == 1.0


def test_a_late_answer_takes_the_gap_out_of_force(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO, behaviour=PERFECT) as days:
        days.pass_time(SCENARIO.start, SCENARIO.end, HOUR, repair=False)
        verifier = Follower(VerifierSettings(), "test 1")

        def verify():
            with days.pool.connection() as conn:
                while verifier.follow(conn, SCENARIO.end) is not None:
                    conn.commit()

        verify()
        gaps = "select count(*) filter (where superseded_at is null), count(*) from finding where kind = 'gap'"
        [(in_force, all_told)] = days.query(gaps)
        assert in_force == all_told >= 2
        before = days.collection_rate(SCENARIO.start, SCENARIO.end - 4 * HOUR)
        assert before < 0.985
        for hour in range(8):
            days.repair_until_idle(SCENARIO.end + hour * HOUR)
        verify()
        assert days.query(gaps) == [(0, all_told)]
        assert days.collection_rate(SCENARIO.start, SCENARIO.end - 4 * HOUR) == 1.0


def test_garbage_and_foreign_acknowledgements_change_nothing(migrated_dsn):
    with simulated_days(migrated_dsn, SCENARIO, RepairSettings(expires_s=2 * 86_400, clock=NO_SYNC), PERFECT) as days:
        days.link.is_deaf = True
        days.pass_time(SCENARIO.start, SCENARIO.start + DAY / 2, HOUR)
        state = "select command_id, state, reason from command order by 1"
        [command_id] = [row[0] for row in days.query(state) if row[1] == "sent"][:1]
        acks = [
            (f"mp/v1/{SCENARIO.utility}/another/cmd/ack", f'{{"v":1,"id":"{command_id}","state":"done"}}'),
            (f"mp/v1/{SCENARIO.utility}/sim-electricity/cmd/ack", '{"v":1,"id":"no such command","state":"done"}'),
            (f"mp/v1/{SCENARIO.utility}/sim-electricity/cmd/ack", f'{{"v":2,"id":"{command_id}","state":"done"}}'),
            (f"mp/v1/{SCENARIO.utility}/sim-electricity/cmd/ack", "[" * 100_000),
            ("elsewhere", "{}"),
        ]
        before = days.query(state)
        days.link.acks = [Received(topic, payload.encode(), 0, 1) for topic, payload in acks]
        days.repair.step(SCENARIO.start + DAY / 2)
        assert days.query(state) == before
