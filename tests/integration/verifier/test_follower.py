"""The follower on a real database: each batch once, the same end in any order, nothing half done."""

import random
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from store.batches import next_batch_id
from store.findings import Provenance, Replaced
from store.pending import PendingRow, insert_pending
from store.registry_import import import_meters
from store.tables import parse_csv
from verifier.settings import FollowerSettings, VerifierSettings

START_RECEIVED = datetime(2027, 2, 5, tzinfo=UTC)
START_US = 1_767_225_600_000_000
HOUR_US = 3_600_000_000


def course(meter_id=1, hours=30, start=100.0):
    return [(meter_id, hour, start + 0.01 * hour) for hour in range(hours)]


def troubled(meter_id=1):
    """A day and a half with a glitch, a small step back, a gap, a reset, a repeated hour with another value."""
    points = course(meter_id, 40)
    points[5] = (meter_id, 5, 0.0)
    points[10] = (meter_id, 10, points[9][2] - 0.001)
    del points[12:16]
    points = [(m, hour, register - 90 if hour >= 25 else register) for m, hour, register in points]
    return [*points, (meter_id, 20, 7.0)]


def test_a_reset_is_told_with_its_readings_and_settles_after_the_horizon(make_city):
    city = make_city()
    batch = city.deliver([(1, 0, 439.534), (1, 1, 0.718), (1, 2, 0.731)])
    city.follow()
    [provisional] = city.findings()
    assert (provisional.kind, provisional.severity) == ("reset", "info")
    assert provisional.detail["provisional"]
    assert city.query("select count(*) from alert") == [(0,)]

    city.deliver([(1, hour, 0.731 + 0.01 * hour) for hour in range(3, 10)])
    city.follow()
    [final] = city.findings()
    assert (final.severity, final.detail["step_micro"]) == ("warning", -438_816_000)
    assert final.detail["may_be_unregistered_exchange"]
    assert "provisional" not in final.detail
    evidence = city.query("select evidence from finding where superseded_at is null")[0][0]
    assert [(item["register_micro"], item["batch_id"]) for item in evidence] == [(439_534_000, batch), (718_000, batch)]
    assert city.query("select kind, severity, state, findings from alert") == [("reset", "warning", "open", 1)]
    assert city.query("select actor, action from alert_event") == [("verifier", "raised")]
    assert city.query("select total_micro from meter_state") == [(103_000,)]


def test_a_late_return_turns_a_reset_into_a_glitch_and_withdraws_its_alert(make_city):
    city = make_city()
    city.deliver([(1, 0, 100.0), (1, 1, 5.0), (1, 2, 5.01), *[(1, hour, 5.0 + 0.01 * hour) for hour in range(4, 40)]])
    city.follow()
    assert city.query("select kind, state from alert") == [("reset", "open")]
    city.deliver([(1, 3, 100.02)])
    city.follow()
    assert [f.kind for f in city.findings() if f.starts_us == START_US] == ["transient_glitch"]
    assert ("reset", "withdrawn") not in city.query("select kind, state from alert where state = 'open'")
    # The level at hour 3 is the old one, so the register fell once more: at hour 4.
    assert [f.starts_us for f in city.findings() if f.kind == "reset"] == [START_US + 3 * HOUR_US]
    assert city.query("select count(*) from finding where superseded_at is not null") == [(1,)]


def test_an_alert_whose_ground_is_gone_is_withdrawn(make_city):
    city = make_city()
    city.deliver([(1, 1, 100.0), *[(1, hour, 5.0 + 0.01 * hour) for hour in range(2, 14)]])
    city.follow()
    assert city.query("select kind, state from alert") == [("reset", "open")]
    # What came before shows that the first value was the foreign one.
    city.deliver([(1, 0, 5.0)])
    city.follow()
    assert city.kinds() == ["transient_glitch"]
    assert city.query("select kind, state, findings from alert order by 1") == [
        ("reset", "withdrawn", 1),
        ("transient_glitch", "open", 1),
    ]
    assert ("verifier", "withdrawn") in city.query("select actor, action from alert_event")


@pytest.mark.parametrize("seed", range(4))
def test_any_order_and_batching_ends_the_same(make_city, seed):
    settings = VerifierSettings(follower=FollowerSettings(max_readings=random.Random(seed).choice([1, 7, 1000])))
    city = make_city(settings=settings)
    points = troubled(1) + troubled(2) + course(3)
    orders = random.Random(seed)
    if seed:
        orders.shuffle(points)
    while points:
        size = orders.choice([1, 3, 8, 40])
        city.deliver(points[:size])
        points = points[size:]
        if orders.random() < 0.7:
            city.follow()
    city.follow()

    kinds = city.kinds()
    assert sorted(set(kinds)) == ["backward_step", "conflicting_values", "gap", "reset", "transient_glitch"]
    assert city.query("select meter_id, total_micro from meter_state order by 1") == [
        (1, 380_000), (2, 380_000), (3, 290_000)
    ]  # fmt: skip
    expected = city.findings()
    states = city.query("select meter_id, anchor_at, last_at, total_micro from meter_state order by 1")
    # From the first reading on, all at once: the same again, and not one row of findings changes.
    before = city.query("select finding_id, superseded_at from finding order by 1")
    city.query("select 1")
    city.connection.execute("delete from meter_state")
    city.connection.execute("delete from meter_checkpoint")
    city.connection.commit()
    city.deliver([(1, 50, 11.0), (2, 50, 11.0), (3, 50, 101.0)])
    city.follow()
    after = [f for f in city.findings() if f.ends_us < START_US + 50 * HOUR_US]
    assert after == expected
    assert city.query("select finding_id, superseded_at from finding order by 1")[: len(before)] == before
    assert [row[0] for row in states] == [1, 2, 3]


def test_two_batches_that_commit_in_another_order_than_they_began(make_city):
    city = make_city()
    with psycopg.connect(city.dsn) as first, psycopg.connect(city.dsn) as second:
        first_id, second_id = next_batch_id(first), next_batch_id(second)
        city.write(second, second_id, [(1, 2, 100.02)], START_RECEIVED)
        second.commit()
        city.follow()
        city.write(first, first_id, [(1, 0, 100.0), (1, 1, 0.0)], START_RECEIVED)
        assert city.follow() == 0  # not committed: nothing to be seen of it
        first.commit()
    assert city.follow() == 1
    assert city.kinds() == ["transient_glitch"]
    assert city.query("select commit_seq from follower_cursor") == [(2,)]
    assert city.query("select total_micro from meter_state") == [(20_000,)]


def test_batches_behind_the_group_do_not_enter_it(make_city):
    city = make_city(settings=VerifierSettings(follower=FollowerSettings(max_readings=1)))
    city.deliver([(1, 0, 100.0), (1, 1, 0.0)])
    city.deliver([(1, 2, 100.02)])
    follower = city.follower()
    assert follower.follow(city.connection, START_RECEIVED).readings == 2
    city.connection.commit()
    assert city.kinds() == ["reset"]
    follower.follow(city.connection, START_RECEIVED)
    city.connection.commit()
    assert city.kinds() == ["transient_glitch"]


def test_a_transaction_that_is_lost_leaves_nothing_and_is_made_again(make_city):
    city = make_city()
    city.deliver(troubled())
    city.follower().follow(city.connection, START_RECEIVED)
    assert city.connection.execute("select count(*) from finding").fetchone() != (0,)
    city.connection.rollback()  # as a kill -9 leaves it
    for table in ("finding", "meter_state", "meter_checkpoint", "alert", "follower_cursor"):
        assert city.query(f"select count(*) from {table}") == [(0,)]
    city.follow()
    once = city.query("select finding_id - min(finding_id) over (), kind, starts_at from finding order by 1")
    assert city.follow() == 0
    assert city.query("select finding_id - min(finding_id) over (), kind, starts_at from finding order by 1") == once


def test_a_second_verifier_waits_for_the_first_and_finds_its_work_done(make_city):
    city = make_city()
    city.deliver(troubled())
    with psycopg.connect(city.dsn) as other:
        city.follower().follow(city.connection, START_RECEIVED)
        other.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            city.follower().follow(other, START_RECEIVED)
        other.rollback()
        city.connection.commit()
        assert city.follower().follow(other, START_RECEIVED) is None


def test_readings_dated_in_the_future_are_told_and_far_ones_left_out(make_city):
    city = make_city()
    received = START_RECEIVED.replace(year=2026, month=1, day=1) + timedelta(hours=3)
    hours = (received.timestamp() * 1e6 - START_US) / HOUR_US
    city.deliver([(1, hours - 1, 100.0), (1, hours + 0.04, 100.1), (1, hours + 0.06, 100.2)], received)
    city.deliver([(1, hours + 9000, 100.3)], received)
    city.follow()
    findings = city.findings()
    assert [(f.kind, f.severity) for f in findings] == [("clock_in_future", "warning")] * 2
    assert [f.detail["ahead_s"] for f in findings] == [216.0, 9000 * 3600.0]
    assert [f.detail["left_out"] for f in findings] == [0, 1]
    assert city.query("select kind, findings from alert") == [("clock_in_future", 2)]
    # The far one must not come in by being read again: a late reading, and its time has come meanwhile.
    city.deliver([(1, hours - 2, 99.9)], received)
    city.follow()
    query = "select total_micro, last_at < '2026-02-01+00' from meter_state"
    assert city.query(query) == [(300_000, True)]


def test_repetitions_are_one_finding_that_counts_them(make_city):
    city = make_city()
    for _ in range(3):
        city.deliver(course(1, 5))
    city.follow()
    [finding] = city.findings()
    assert (finding.kind, finding.severity, finding.detail) == ("duplicate", "info", {"messages": 2, "readings": 10})
    city.deliver(course(1, 4))
    city.follow()
    [finding] = city.findings()
    assert finding.detail == {"messages": 3, "readings": 14}
    assert city.query("select count(*) from alert") == [(0,)]


def test_the_zones_are_assessed_in_the_same_transaction(make_city):
    calls = []

    class Recorder:
        def assess_due(self, connection, rows, findings, provenance: Provenance) -> list[Replaced]:
            inside = connection.execute("select count(*) from meter_state").fetchone()
            calls.append((sorted(rows["meter_id"].tolist()), [f.kind for f in findings], provenance.commit_seq, inside))
            return []

    city = make_city()
    city.deliver(course(1, 5) + course(2, 3))
    city.follow(assessor=Recorder())
    assert calls == [([1] * 5 + [2] * 3, [], 1, (2,))]


def test_every_finding_names_software_and_settings(make_city):
    city = make_city()
    city.deliver(troubled())
    city.follow()
    rows = city.query(
        "select distinct software_version, s.body -> 'steps' ->> 'gap_s', s.body ? 'follower'"
        " from finding join settings_snapshot s on digest = settings_digest"
    )
    assert rows == [("test 1", "7200.0", False)]


def test_changed_settings_and_registry_check_a_meter_anew(make_city):
    city = make_city()
    city.deliver(course(1, 5))
    city.deliver([(1, 9, 100.1)])
    city.follow()
    assert city.kinds() == ["gap"]
    city.settings = VerifierSettings.model_validate({"steps": {"gap_s": 6 * 3600}})
    city.deliver([(1, 10, 100.12)])
    city.follow()
    assert city.kinds() == []
    city.connection.execute("update installation set multiplier = 10 where meter_id = 1")
    city.connection.execute("update registry_version set version = version + 1")
    city.connection.commit()
    city.deliver([(1, 11, 100.13)])
    city.follow()
    assert city.query("select total_micro from meter_state") == [(1_300_000,)]


def test_late_readings_go_back_to_a_checkpoint_not_to_the_first_reading(make_city):
    city = make_city(meters=1)
    points = course(1, 24 * 40)
    late = points.pop(24 * 39 + 5)
    city.deliver(points)
    city.follow()
    # Close ones daily, older ones every eighth day.
    days = [
        row[0] for row in city.query("select (anchor_at::date - date '2026-01-01') from meter_checkpoint order by 1")
    ]
    epoch_days = START_US // (24 * HOUR_US)
    assert days[-8:] == list(range(32, 40))
    assert all((epoch_days + day) % 8 == 0 for day in days[:-8])
    assert len(days) <= 8 + 5
    # Were it to begin with the first reading again, the total would now lack what is deleted here.
    city.connection.execute("delete from reading where observed_at < timestamptz '2026-01-31+00'")
    city.connection.commit()
    city.deliver([late])
    city.follow()
    assert city.query("select total_micro from meter_state") == [((24 * 40 - 1) * 10_000,)]
    assert city.kinds() == []


def test_released_readings_of_a_late_registered_meter_are_followed(make_city):
    city = make_city()
    city.deliver(course(1, 10))
    city.follow()
    hours = [(hour, 50_000_000 + 10_000 * hour) for hour in range(10) if hour not in (4, 5, 6)]
    rows = [PendingRow(1, "late", "water", START_US + hour * HOUR_US, value, 0, 1, 0) for hour, value in hours]
    insert_pending(city.connection, rows)
    table = parse_csv("meter,medium,unit,resolution\nlate,water,m3,0.001", "meters.csv")
    released = import_meters(city.connection, table, utility="u", time_zone="UTC", actor="test").released
    city.connection.commit()
    assert released == 7
    assert city.follow() == 1
    assert city.kinds() == ["gap"]
    assert city.query("select total_micro from meter_state order by meter_id") == [(90_000,), (90_000,)]
