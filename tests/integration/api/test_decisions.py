"""Decisions on alerts: who may do what when, what it leaves behind, and what two inspectors at once get."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest
from seeded_city import add_alert, add_finding, hour

from store.alert_decisions import Decision, DecisionRequest, decide

ACTOR, REASON = "王工", "现场核查：表前阀关闭，用户停用"


def post(running, kind: str, decision: str, **body: object) -> httpx.Response:
    """A decision on the alert of a kind."""
    return running.client.post(f"/v1/alerts/{running.city.alerts[kind]}/{decision}", json=body)


def events(running, kind: str) -> list[tuple[str, str, str]]:
    """Actor, action and reason of each event of an alert."""
    alert_id = running.city.alerts[kind]
    return running.query(
        "select actor, action, reason from alert_event where alert_id = %s order by alert_event_id", alert_id
    )


def test_acknowledge_then_confirm_leaves_events_and_audit(running):
    taken = post(running, "stopped", "acknowledge", actor=f"  {ACTOR} ")
    assert taken.json()["state"] == "acknowledged"
    confirmed = post(running, "stopped", "confirm", actor="李工", reason=REASON).json()
    assert confirmed["state"] == "confirmed"
    assert [event["action"] for event in confirmed["events"]] == ["raised", "acknowledged", "confirmed"]
    assert events(running, "stopped")[1:] == [(ACTOR, "acknowledged", ""), ("李工", "confirmed", REASON)]
    audit = running.query("select actor, action, subject, detail from audit_log order by audit_id")
    subject = f"alert/{running.city.alerts['stopped']}"
    assert [row[:3] for row in audit] == [
        (ACTOR, "alert.acknowledge", subject),
        ("李工", "alert.confirm", subject),
    ]
    assert audit[1][3] == {"from": "acknowledged", "to": "confirmed", "reason": REASON, "revised": False}


@pytest.mark.parametrize(
    ("decision", "body", "named"),
    [
        ("dismiss", {"actor": ACTOR}, "reason"),
        ("dismiss", {"actor": ACTOR, "reason": " \n "}, "reason"),
        ("confirm", {"actor": ACTOR, "reason": ""}, "reason"),
        ("confirm", {"actor": ACTOR, "reason": "x" * 2001}, "reason"),
        ("acknowledge", {"actor": "  "}, "actor"),
        ("acknowledge", {"actor": "x" * 101}, "actor"),
        ("acknowledge", {"actor": "a\u0000b"}, "actor"),
        ("acknowledge", {}, "actor"),
        ("acknowledge", {"actor": " Verifier"}, "actor"),
        ("acknowledge", {"actor": ACTOR, "why": "?"}, "why"),
        ("acknowledge", {"actor": 7}, "actor"),
    ],
)
def test_what_is_missing_is_named_and_nothing_changes(shared, decision, body, named):
    answer = post(shared, "stopped", decision, **body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]
    assert len(events(shared, "stopped")) == 1
    assert shared.query("select count(*) from audit_log") == [(0,)]


def test_a_decision_that_conflicts_is_409_and_says_who_decided(running):
    post(running, "stopped", "dismiss", actor=ACTOR, reason=REASON).raise_for_status()
    for decision in ("acknowledge", "dismiss", "confirm"):
        answer = post(running, "stopped", decision, actor="李工", reason="x")
        assert answer.status_code == 409
        assert ACTOR in answer.json()["detail"]
        assert REASON in answer.json()["detail"]
    assert len(events(running, "stopped")) == 2


def test_a_decision_can_be_corrected_openly(running):
    post(running, "stopped", "confirm", actor=ACTOR, reason=REASON).raise_for_status()
    assert "revise" in post(running, "stopped", "dismiss", actor=ACTOR, reason="误判").json()["detail"]
    corrected = post(running, "stopped", "dismiss", actor=ACTOR, reason="误判", revise=True)
    assert corrected.json()["state"] == "dismissed"
    assert [action for _, action, _ in events(running, "stopped")] == ["raised", "confirmed", "dismissed"]
    again = post(running, "stopped", "confirm", actor=ACTOR, reason="复检超差", revise=True)
    assert again.json()["state"] == "confirmed"


def test_a_dismissed_alert_with_a_successor_is_not_revived(running):
    post(running, "stopped", "dismiss", actor=ACTOR, reason=REASON).raise_for_status()
    subject, span = (running.city.meters["0045-7782"], None), (hour(716), hour(719))
    with psycopg.connect(running.dsn) as conn:
        finding = add_finding(conn, "stopped", "warning", subject, span, {}, [])
        later = add_alert(conn, "stopped", "warning", subject, span, finding)
    answer = post(running, "stopped", "confirm", actor=ACTOR, reason="x", revise=True)
    assert answer.status_code == 409
    assert f"alert {later}" in answer.json()["detail"]


def test_a_confirmation_can_be_taken_back_beside_another_alert(running):
    """Two alerts on one matter: only reviving the second is refused, not giving one up."""
    post(running, "stopped", "dismiss", actor=ACTOR, reason=REASON).raise_for_status()
    subject, span = (running.city.meters["0045-7782"], None), (hour(716), hour(719))
    with psycopg.connect(running.dsn) as conn:
        finding = add_finding(conn, "stopped", "warning", subject, span, {}, [])
        later = add_alert(conn, "stopped", "warning", subject, span, finding)
    body = {"actor": ACTOR, "reason": "x"}
    running.client.post(f"/v1/alerts/{later}/confirm", json=body).raise_for_status()
    taken_back = running.client.post(f"/v1/alerts/{later}/dismiss", json={**body, "revise": True})
    assert taken_back.json()["state"] == "dismissed"
    assert post(running, "stopped", "confirm", **body, revise=True).json()["state"] == "confirmed"
    refused = running.client.post(f"/v1/alerts/{later}/confirm", json={**body, "revise": True})
    assert refused.status_code == 409


def test_a_withdrawn_alert_can_not_be_decided(running):
    running.query("update alert set state = 'withdrawn' where kind = 'stopped' returning 1")
    answer = post(running, "stopped", "confirm", actor=ACTOR, reason=REASON, revise=True)
    assert answer.status_code == 409
    assert "nothing left to decide" in answer.json()["detail"]


def test_an_unknown_alert_is_404(shared):
    assert shared.client.post("/v1/alerts/424242/confirm", json={"actor": "a", "reason": "b"}).status_code == 404


def test_of_many_inspectors_at_once_one_decides(running):
    def attempt(number: int) -> int:
        decision = "confirm" if number % 2 else "dismiss"
        return post(running, "stopped", decision, actor=f"inspector {number}", reason="at once").status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(attempt, range(16)))
    assert sorted(statuses) == [200] + [409] * 15
    assert len(events(running, "stopped")) == 2
    assert running.query("select count(*) from audit_log") == [(1,)]


def test_a_decision_waits_for_the_one_before_it(running):
    """The row lock: a second transaction sees the first one's outcome, not the state before it."""
    alert_id = running.city.alerts["stopped"]
    with psycopg.connect(running.dsn) as first, ThreadPoolExecutor(1) as pool:
        decide(first, DecisionRequest(alert_id, Decision.CONFIRM, ACTOR, REASON))
        second = pool.submit(post, running, "stopped", "dismiss", actor="李工", reason="x")
        first.commit()
        assert second.result().status_code == 409


def test_all_of_a_decision_or_nothing(running):
    """A failure at the audit entry takes event and state back with it."""
    with psycopg.connect(running.dsn) as conn:
        conn.execute("alter table audit_log rename to audit_log_away")
    assert post(running, "stopped", "confirm", actor=ACTOR, reason=REASON).status_code == 503
    assert running.query("select state from alert where kind = 'stopped'") == [("open",)]
    assert len(events(running, "stopped")) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_request_from_another_site_is_refused(shared, headers):
    path = f"/v1/alerts/{shared.city.alerts['stopped']}/acknowledge"
    answer = shared.client.post(path, json={"actor": ACTOR}, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(events(shared, "stopped")) == 1


def test_bodies_are_bounded(shared):
    path = f"/v1/alerts/{shared.city.alerts['stopped']}/acknowledge"
    assert shared.client.post(path, content=b"x" * 70_000).status_code == 413
    chunks = (b"x" * 1000 for _ in range(70))
    headers = {"Content-Type": "application/json"}
    assert shared.client.post(path, content=chunks, headers=headers).status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        rb'{"actor":"a\ud800","reason":"x"}',
        rb'{"actor":"a","reason":"x\udfff"}',
        rb'{"actor":"a","reason":"x","revise":"\ud800"}',
        rb'{"actor":"a","reason":"x","\ud800":1}',
        b'{"actor":"a","reason":"x","revise":"yes"}',
        b'{"actor":"a","reason":"x","revise":1}',
    ],
)
def test_text_that_can_not_be_kept_and_truth_that_is_none_are_problems(shared, body):
    path = f"/v1/alerts/{shared.city.alerts['stopped']}/dismiss"
    answer = shared.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(events(shared, "stopped")) == 1


def test_a_body_that_is_no_json_is_a_problem(shared):
    path = f"/v1/alerts/{shared.city.alerts['stopped']}/acknowledge"
    answer = shared.client.post(path, content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "JSON" in answer.json()["detail"]
