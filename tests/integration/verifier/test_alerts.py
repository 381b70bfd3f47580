"""Alerts follow the findings, and never against an inspector's decision."""

from datetime import UTC, datetime

import psycopg
import pytest

from store.alert_decisions import Decision, DecisionRequest, decide
from store.alerts import AlertChanges, sync_alerts
from store.findings import FindingDraft, Provenance, findings_in_force, note_settings, replace_findings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PROVENANCE = Provenance(NOW, 1, "test 1", "digest")
DAY_US = 86_400_000_000
START_US = 1_767_225_600_000_000


def draft(day, severity="warning", meter_id=1, zone_id=None, kind="reset", length_days=1):
    starts_us = START_US + day * DAY_US
    ends_us = starts_us + length_days * DAY_US
    return FindingDraft(kind, severity, meter_id, zone_id, starts_us, ends_us, {"day": day}, [])


@pytest.fixture
def city(make_city):
    made = make_city()
    note_settings(made.connection, "digest", {})
    made.connection.execute("insert into zone (utility_id, code, medium) values (1, 'z', 'water')")
    made.connection.commit()
    return made


def conclude(city, *drafts, kind="reset", zones=()):
    """These are now the findings of the kind at meters 1 to 3 (or of zones); returns the alerts' changes."""
    from_us = dict.fromkeys(zones or (1, 2, 3), 0)
    known = findings_in_force(city.connection, [kind], from_us, of_zones=bool(zones))
    replaced = replace_findings(city.connection, known, drafts, PROVENANCE)
    changes = sync_alerts(city.connection, replaced.touched, NOW)
    city.connection.commit()
    return changes


def act(city, alert_id, decision, revise=False):
    decide(city.connection, DecisionRequest(alert_id, decision, "Li", "seen on site", revise))
    city.connection.commit()


def alerts(city):
    return city.query("select alert_id, severity, state, findings from alert order by 1")


def test_findings_of_a_kind_at_a_meter_share_an_alert(city):
    assert conclude(city, draft(1)) == AlertChanges(1, 0, 0)
    assert conclude(city, draft(1), draft(5, "alarm"), draft(9, "info"), draft(2, meter_id=2)) == AlertChanges(1, 1, 0)
    assert alerts(city) == [(1, "alarm", "open", 2), (2, "warning", "open", 1)]
    [(starts, last, latest)] = city.query("select starts_at, last_at, latest_finding_id from alert where alert_id = 1")
    assert (starts.day, last.day) == (2, 7)
    assert city.query("select detail from finding where finding_id = %d" % latest) == [({"day": 5},)]  # noqa: UP031


def test_info_raises_no_alert(city):
    assert conclude(city, draft(1, "info")) == AlertChanges(0, 0, 0)
    assert alerts(city) == []


def test_the_same_conclusion_changes_nothing(city):
    conclude(city, draft(1))
    before = city.query("select * from finding"), city.query("select * from alert")
    assert conclude(city, draft(1)) == AlertChanges(0, 0, 0)
    assert (city.query("select * from finding"), city.query("select * from alert")) == before


def test_an_acknowledged_and_a_confirmed_alert_are_joined(city):
    conclude(city, draft(1))
    act(city, 1, Decision.ACKNOWLEDGE)
    conclude(city, draft(1), draft(3))
    act(city, 1, Decision.CONFIRM)
    conclude(city, draft(1), draft(3), draft(5))
    assert alerts(city) == [(1, "warning", "confirmed", 3)]


def test_after_a_dismissal_only_what_starts_later_raises_a_new_alert(city):
    conclude(city, draft(1), draft(3))
    act(city, 1, Decision.DISMISS)
    assert conclude(city, draft(1), draft(2), draft(3, length_days=9)) == AlertChanges(0, 0, 0)
    assert conclude(city, draft(1), draft(3, length_days=9), draft(8)) == AlertChanges(1, 0, 0)
    assert alerts(city) == [(1, "warning", "dismissed", 2), (2, "warning", "open", 1)]


def test_an_alert_without_ground_is_withdrawn_and_may_come_again(city):
    conclude(city, draft(1))
    act(city, 1, Decision.ACKNOWLEDGE)
    assert conclude(city) == AlertChanges(0, 0, 1)
    assert conclude(city, draft(1)) == AlertChanges(1, 0, 0)
    assert alerts(city) == [(1, "warning", "withdrawn", 1), (2, "warning", "open", 1)]
    events = city.query("select alert_id, actor, action from alert_event order by 1, alert_event_id")
    assert events == [
        (1, "verifier", "raised"),
        (1, "Li", "acknowledged"),
        (1, "verifier", "withdrawn"),
        (2, "verifier", "raised"),
    ]


def test_a_finding_that_becomes_info_is_no_ground(city):
    conclude(city, draft(1))
    assert conclude(city, draft(1, "info")) == AlertChanges(0, 0, 1)


def test_what_an_inspector_confirmed_is_not_withdrawn(city):
    conclude(city, draft(1))
    act(city, 1, Decision.CONFIRM)
    assert conclude(city) == AlertChanges(0, 0, 0)
    assert alerts(city) == [(1, "warning", "confirmed", 1)]


def test_a_zone_has_alerts_of_its_own(city):
    of_meter = draft(1, meter_id=2, zone_id=1, kind="error_beyond_mpe")
    conclude(city, of_meter, kind="error_beyond_mpe")
    conclude(city, draft(1, meter_id=None, zone_id=1, kind="zone_imbalance"), kind="zone_imbalance", zones=(1,))
    assert city.query("select kind, meter_id, zone_id from alert order by 1") == [
        ("error_beyond_mpe", 2, None),
        ("zone_imbalance", None, 1),
    ]
    assert conclude(city, kind="zone_imbalance", zones=(1,)) == AlertChanges(0, 0, 1)
    assert city.query("select utility_id, zone_id from finding where meter_id = 2") == [(1, 1)]


def test_an_act_under_way_is_waited_for(city):
    conclude(city, draft(1))
    with psycopg.connect(city.dsn) as other:
        decide(other, DecisionRequest(1, Decision.DISMISS, "Li", "seen on site"))
        city.connection.execute("set lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conclude(city, draft(1), draft(2))
        city.connection.rollback()
        other.commit()
    conclude(city, draft(1), draft(8))
    assert alerts(city) == [(1, "warning", "dismissed", 1), (2, "warning", "open", 1)]
