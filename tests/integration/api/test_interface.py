"""The JSON interface over a real database, through real HTTP."""

from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from seeded_city import HOURS, METERS, add_finding, evidence, hour, insert_batch, register_text


def problem(answer: httpx.Response, status: int) -> dict:
    """The problem details of an answer, whose form is checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:meterproof:problem:")
    assert "Traceback" not in answer.text
    return body


def follow(client: httpx.Client, path: str, **params: object) -> list[dict]:
    """All items of a list, page by page."""
    items, cursor = [], None
    for _ in range(1000):
        page = client.get(path, params={**params, **({"cursor": cursor} if cursor else {})}).raise_for_status().json()
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items
    raise AssertionError("the list has no end")


def test_meters_page_by_page_are_all_meters_once(shared):
    items = follow(shared.client, "/v1/meters", limit=3)
    assert [(item["utility"], item["serial"]) for item in items] == sorted(
        ((meter.utility, meter.serial) for meter in METERS),
        key=lambda one: (one[0] != "dazhou-power", "water" not in one[0], one[1]),
    )
    assert items[0]["zone"] == "TG-0417"
    assert items[0]["service_point"].startswith("通川区")


def test_meters_are_filtered(shared):
    assert {i["serial"] for i in follow(shared.client, "/v1/meters", zone="DMA-03")} == {
        "0045-7781",
        "0045-7782",
        "0045-7783",
    }
    assert len(follow(shared.client, "/v1/meters", medium="gas")) == 1
    assert follow(shared.client, "/v1/meters", utility="nobody") == []


def test_meter_shows_exact_register_and_history(shared):
    meter = shared.client.get("/v1/meters/dazhou-water/0045-7781").json()
    last = shared.city.registers["0045-7781"][-1]
    assert meter["latest_reading"]["register_micro"] == last
    assert meter["latest_reading"]["register_value"] == register_text(last)
    assert meter["latest_reading"]["observed_at"] == "2026-03-30T23:00:00Z"
    assert meter["installations"][0]["removed_at"] is None
    assert meter["alerts_at_work"] == 1


def test_serials_are_compared_exactly(shared):
    problem(shared.client.get("/v1/meters/dazhou-water/45-7781"), 404)


def test_readings_are_half_open_and_complete(shared):
    serial, start, end = "E-10021", hour(10), hour(200)
    path = f"/v1/meters/dazhou-power/{serial}/readings"
    items = follow(shared.client, path, limit=37, **{"from": start.isoformat(), "to": end.isoformat()})
    assert [item["register_micro"] for item in items] == shared.city.registers[serial][10:200]
    assert items[0]["observed_at"] == "2026-03-01T10:00:00Z"
    assert [item["register_value"] for item in items[:5]] == [
        register_text(r) for r in shared.city.registers[serial][10:15]
    ]
    (conflicting,) = items[90]["conflicting"]
    assert conflicting["register_micro"] == items[90]["register_micro"] + 15_250_000
    assert conflicting["flags"] == ["tamper"]
    assert sum(len(item["conflicting"]) for item in items) == 1


def test_downsampled_readings_keep_every_extreme(shared):
    serial = "E-10022"
    body = shared.client.get(f"/v1/meters/dazhou-power/{serial}/readings/downsampled", params={"buckets": 50}).json()
    registers = shared.city.registers[serial]
    assert len(body["items"]) <= 50
    assert sum(bucket["readings"] for bucket in body["items"]) == HOURS
    for bucket in body["items"]:
        at = datetime.fromisoformat(bucket["bucket_start"])
        inside = [r for i, r in enumerate(registers) if at <= hour(i) < at + timedelta(seconds=body["bucket_s"])]
        assert (bucket["min_micro"], bucket["max_micro"]) == (min(inside), max(inside))
        assert (bucket["first_micro"], bucket["last_micro"]) == (inside[0], inside[-1])
        low = datetime.fromisoformat(bucket["min_at"])
        assert registers[round((low - hour(0)) / timedelta(hours=1))] == bucket["min_micro"]
    assert min(bucket["min_micro"] for bucket in body["items"]) == 718_000


def test_downsampled_readings_of_a_meter_without_any(shared):
    with_none = shared.client.get(
        "/v1/meters/dazhou-gas/G-220915/readings/downsampled",
        params={"from": "2027-01-01T00:00:00Z", "to": "2027-02-01T00:00:00Z"},
    )
    assert with_none.json()["items"] == []


def test_zones(shared):
    zones = follow(shared.client, "/v1/zones", limit=1)
    assert [zone["zone"] for zone in zones] == ["TG-0417", "DMA-03", "GZ-11"]
    assert shared.client.get("/v1/zones/dazhou-water/DMA-03").json()["service_points"] == 3
    assert shared.client.get("/v1/zones/dazhou-water/DMA-03").json()["report"] is None
    report = shared.client.get("/v1/zones/dazhou-power/TG-0417").json()["report"]
    assert (report["window_end"], report["decidable"], report["unmetered_since"]) == ("2026-03-30T00:00:00Z", 7, None)
    assert report["reasons"] == [{"code": "unmetered_load", "text": "a load runs past the meters"}]
    remedy = {"code": "network", "text": "a plan", "newly_decidable": 2, "std_fall_pct": 0.1, "serial": None}
    assert report["remedies"][0] == remedy
    problem(shared.client.get("/v1/zones/dazhou-water/TG-0417"), 404)


def test_findings_and_their_evidence(shared):
    items = follow(shared.client, "/v1/findings", limit=2)
    assert [item["finding_id"] for item in items] == sorted((i["finding_id"] for i in items), reverse=True)
    assert len(items) == 6
    one = shared.client.get(f"/v1/findings/{shared.city.findings['transient_glitch']}").json()
    assert [reading["part"] for reading in one["evidence"]] == ["before", "foreign", "foreign", "after"]
    assert one["settings"] == {"gap_s": 7200}
    assert [i["kind"] for i in follow(shared.client, "/v1/findings", serial="0045-7782")] == ["stopped"]
    late = follow(shared.client, "/v1/findings", **{"from": hour(719).isoformat()})
    assert {item["kind"] for item in late} == {"error_beyond_mpe", "zone_imbalance"}


def test_superseded_findings_are_left_out_unless_asked_for(running):
    running_id = running.city.findings["backward_step"]
    running.query("update finding set superseded_at = now() where finding_id = %s returning 1", running_id)
    assert running_id not in {item["finding_id"] for item in follow(running.client, "/v1/findings")}
    assert running_id in {item["finding_id"] for item in follow(running.client, "/v1/findings", in_force="any")}
    only = follow(running.client, "/v1/findings", in_force="false")
    assert [item["finding_id"] for item in only] == [running_id]


def test_alerts_come_alarms_first_then_newest(shared):
    items = follow(shared.client, "/v1/alerts", limit=2)
    assert [item["severity"] for item in items] == ["alarm"] + ["warning"] * 5
    raised = [item["opened_at"] for item in items[1:]]
    assert raised == sorted(raised, reverse=True)
    assert len({item["alert_id"] for item in items}) == 6
    assert [i["kind"] for i in follow(shared.client, "/v1/alerts", zone="DMA-03", state="open")] == [
        "zone_imbalance",
        "stopped",
        "backward_step",
    ]


def test_an_alert_holds_its_findings_only(running):
    subject = (running.city.meters["0045-7781"], None)
    other = add_other_findings(running, subject)
    alert = running.client.get(f"/v1/alerts/{running.city.alerts['backward_step']}").json()
    assert [finding["finding_id"] for finding in alert["finding_items"]] == [running.city.findings["backward_step"]]
    assert other not in {finding["finding_id"] for finding in alert["finding_items"]}
    assert [event["action"] for event in alert["events"]] == ["raised"]


def add_other_findings(running, subject) -> int:
    """A finding of the same meter and kind after the alert's span."""

    with psycopg.connect(running.dsn) as conn:
        readings = evidence(running.city, "0045-7781", ("before", 600), ("after", 601))
        return add_finding(conn, "backward_step", "info", subject, (hour(600), hour(601)), {}, readings)


def test_chart_of_a_register_marks_the_evidence(shared):
    chart = shared.client.get(f"/v1/alerts/{shared.city.alerts['transient_glitch']}/chart").json()
    assert chart["type"] == "register"
    assert (chart["unit"], chart["rate_unit"]) == ("kWh", "kW")
    low = [point for point in chart["evidence"] if point["register_value"] == 0.718]
    assert [point["at_s"] for point in low] == [hour(500).timestamp(), hour(501).timestamp()]
    place = chart["at_s"].index(hour(500).timestamp())
    before, after = (shared.city.registers["E-10022"][i] / 1e6 for i in (499, 500))
    assert chart["rates"][place] == pytest.approx(after - before)
    assert chart["concerned_s"] == [hour(499).timestamp(), hour(502).timestamp()]


def test_chart_is_thinned_but_keeps_the_glitch(serving, shared):
    with serving(shared.dsn, chart_points_max=100) as url:
        chart = httpx.get(f"{url}/v1/alerts/{shared.city.alerts['stopped']}/chart").json()
        assert chart["thinned"] is True
        assert len(chart["at_s"]) <= 4 * 34
        assert chart["at_s"] == sorted(set(chart["at_s"]))
        chart = httpx.get(f"{url}/v1/alerts/{shared.city.alerts['transient_glitch']}/chart").json()
        assert min(chart["register_values"]) == 0.718


def test_chart_of_an_error_shows_interval_and_limits(shared):
    chart = shared.client.get(f"/v1/alerts/{shared.city.alerts['error_beyond_mpe']}/chart").json()
    rows = shared.query("select error_pct, std_pct from assessment order by window_end")
    assert chart["type"] == "error"
    assert chart["error_pct"] == pytest.approx([error for error, _ in rows])
    assert chart["upper_pct"] == pytest.approx([error + 2 * std for error, std in rows])
    assert set(chart["mpe_pct"]) == {2.0}


def test_chart_of_a_zone_alert_is_none(shared):
    chart = shared.client.get(f"/v1/alerts/{shared.city.alerts['zone_imbalance']}/chart").json()
    assert chart == {"type": "none"}


def test_summary_counts_and_follows_new_batches(running):

    summary = running.client.get("/v1/summary").json()
    assert summary["readings_stored"] == HOURS * len(METERS)
    assert summary["open_alerts"] == {"count": 6, "at_least": False}
    assert (summary["quarantined"]["count"], summary["pending"]["count"]) == (1, 1)
    assert summary["followers"][0]["lag_batches"] == 1
    with psycopg.connect(running.dsn) as conn:
        insert_batch(conn, 17, datetime.now(UTC))
    later = running.client.get("/v1/summary").json()
    assert later["readings_stored"] == HOURS * len(METERS) + 17
    assert later["batches"] == 31
    assert later["followers"][0]["lag_batches"] == 2


def test_the_quarantine_is_listed_with_counts_by_reason(running):
    with psycopg.connect(running.dsn) as conn:
        conn.execute(
            """insert into quarantine
                   (message_digest, reason, detail, utility, topic, payload, rows, batch_id, received_at)
               select int4send(i), 'register_invalid', 'row 3', 'city', 'mp/v1/city/gw/readings', '\\x00', '{3}', 1,
                      '2026-01-01T00:00:00Z' from generate_series(1, 5) i"""
        )
    page = running.client.get("/v1/quarantine").json()
    assert page["reasons"] == [
        {"reason": "register_invalid", "entries": {"count": 5, "at_least": False}},
        {"reason": "not_decodable", "entries": {"count": 1, "at_least": False}},
    ]
    assert (page["items"][0]["rows"], page["items"][0]["rows_total"], page["items"][0]["state"]) == ([3], 1, "open")
    items = follow(running.client, "/v1/quarantine", limit=2)
    assert len({item["quarantine_id"] for item in items}) == len(items) == 6
    for query, number in (
        ({"reason": "register_invalid"}, 5),
        ({"utility": "city", "topic": "mp/v1/+/gw/#"}, 5),
        ({"from": "2026-01-01T00:00:01Z"}, 1),
        ({"state": "released"}, 0),
        ({"state": "any"}, 6),
    ):
        assert len(running.client.get("/v1/quarantine", params=query).json()["items"]) == number, query
    for query in ({"state": "closed"}, {"reasn": "x"}, {"cursor": "x"}, {"from": "yesterday"}):
        answer = running.client.get("/v1/quarantine", params=query)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    assert running.client.post("/v1/quarantine").status_code == 405


def test_replacements_are_the_expired_and_the_confirmed(running):
    page = running.client.get("/v1/replacements", params={"as_of": "2026-02-27"}).json()
    assert [item["serial"] for item in page["items"]] == ["0045-7783"]
    assert follow(running.client, "/v1/replacements", as_of="2026-02-28", limit=1)[1]["serial"] == "E-10023"
    confirm(running, "error_beyond_mpe")
    confirm(running, "implausible_rate")  # confirmed, yet no fault of the meter's own
    today = datetime.now(UTC).date() + timedelta(days=2)
    items = follow(running.client, "/v1/replacements", as_of=today.isoformat(), limit=1)
    assert [item["serial"] for item in items] == ["0045-7783", "E-10023", "E-10024"]
    (reason,) = items[2]["reasons"]
    assert (reason["rule"], reason["kind"], reason["actor"]) == ("confirmed_alert", "error_beyond_mpe", "王工")
    assert running.client.get(reason["evidence"]).json()["state"] == "confirmed"


def test_an_exchanged_meter_is_not_listed(running):
    running.query(
        """update installation set during = tstzrange(lower(during), '2026-03-15Z')
           where meter_id = %s returning 1""",
        running.city.meters["E-10023"],
    )
    assert {i["serial"] for i in follow(running.client, "/v1/replacements", as_of="2026-03-20")} == {"0045-7783"}
    assert {i["serial"] for i in follow(running.client, "/v1/replacements", as_of="2026-03-10")} == {
        "0045-7783",
        "E-10023",
    }


def confirm(running, kind: str) -> None:
    """Confirms the alert of a kind."""
    body = {"actor": "王工", "reason": "现场检验超差"}
    running.client.post(f"/v1/alerts/{running.city.alerts[kind]}/confirm", json=body).raise_for_status()


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/v1/meters?limit=0", "query.limit", "0"),
        ("/v1/meters?limit=100000", "query.limit", "100000"),
        ("/v1/meters?limit=ten", "query.limit", "ten"),
        ("/v1/meters?mediun=water", "query.mediun", "water"),
        ("/v1/meters?medium=steam", "query.medium", "steam"),
        ("/v1/meters?cursor=nonsense", "query.cursor", "nonsense"),
        ("/v1/alerts?cursor=WzEsMl0", "query.cursor", "WzEsMl0"),
        ("/v1/alerts?state=closed", "query.state.0", "closed"),
        ("/v1/alerts/0", "path.alert_id", "0"),
        ("/v1/findings/99999999999999999999", "path.finding_id", "99999999999999999999"),
        ("/v1/findings?from=2026-03-01", "query.from", "2026-03-01"),
        ("/v1/findings?from=2026-02-30T00:00:00Z", "query.from", "2026-02-30T00:00:00Z"),
        ("/v1/findings?from=0001-01-01T00:00:00%2B08:00", "query.from", "0001-01-01T00:00:00+08:00"),
        ("/v1/findings?kind=%00", "query.kind", "\x00"),
        ("/v1/findings?kind=nope", "query.kind", "nope"),
        ("/v1/alerts?kind=nope", "query.kind", "nope"),
        ("/v1/summary?x=1", "query.x", "1"),
        ("/v1/alerts/1?x=1", "query.x", "1"),
        ("/v1/findings/1?x=1", "query.x", "1"),
        ("/v1/meters/dazhou-power/E-10021?x=1", "query.x", "1"),
        ("/v1/zones/dazhou-water/DMA-03?x=1", "query.x", "1"),
        ("/v1/replacements?as_of=tomorrow", "query.as_of", "tomorrow"),
        ("/v1/meters/dazhou-power/E-10021/readings/downsampled?buckets=999999", "query.buckets", "999999"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(shared, path, parameter, value):
    body = problem(shared.client.get(path), 422)
    assert [(error["parameter"], error["value"]) for error in body["errors"]] == [(parameter, value)]
    assert parameter in body["detail"]


def test_a_wrong_kind_is_told_the_right_ones(shared):
    body = problem(shared.client.get("/v1/findings?kind=nope"), 422)
    assert "backward_step, reversed_running, rollover" in body["detail"]


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/v1/alerts", "/replacements", "/static/chart.js", "/no"])
def test_head_is_get_without_content(shared, path):
    head, get = shared.client.head(path), shared.client.get(path)
    assert head.status_code == get.status_code
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    if path == "/readyz":  # tells the lag in seconds, which may gain a digit between the two
        assert abs(int(head.headers["content-length"]) - len(get.content)) < 10
    else:
        assert head.headers["content-length"] == get.headers["content-length"]


def test_an_unescaped_plus_is_explained(shared):
    body = problem(shared.client.get("/v1/findings?from=2026-03-01T00:00:00+08:00"), 422)
    assert "%2B" in body["detail"]


def test_an_empty_stretch_of_time_is_refused(shared):
    path = "/v1/meters/dazhou-power/E-10021/readings"
    body = problem(shared.client.get(path, params={"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T00:00:00Z"}), 422)
    assert "[from, to)" in body["detail"]


def test_unknown_addresses_and_methods_are_problems(shared):
    problem(shared.client.get("/v1/nothing"), 404)
    problem(shared.client.delete("/v1/meters"), 405)
    problem(shared.client.get("/static/../settings.py"), 404)


def test_probes_and_metrics(running):
    assert running.client.get("/livez").json()["status"] == "alive"
    ready = running.client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["migrations"] == "current"
    assert ready.json()["followers"][0]["lag_batches"] == 1
    running.client.get("/v1/alerts")
    text = running.client.get("/metrics").text
    assert "meterproof_database_up 1.0" in text
    assert f"meterproof_readings_held {float(HOURS * len(METERS))}" in text
    assert 'meterproof_alerts_open{kind="stopped",severity="warning"} 1.0' in text
    assert 'meterproof_follower_lag_batches{follower="verifier"} 1.0' in text
    assert 'meterproof_http_requests_total{method="GET",route="/v1/alerts",status="200"} 1.0' in text


def test_without_a_schema_it_is_not_ready(postgres_dsn, serving):
    with serving(postgres_dsn) as url:
        ready = httpx.get(f"{url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["migrations"] == "pending"
        assert "meterproof migrate" in problem(httpx.get(f"{url}/v1/alerts"), 503)["detail"]


def test_without_a_database_it_says_so(serving):
    with serving("postgresql://nobody@127.0.0.1:1/none", pool_wait_s=0.3) as url:
        assert httpx.get(f"{url}/livez").status_code == 200
        assert httpx.get(f"{url}/readyz").json()["database"] == "unreachable"
        answer = httpx.get(f"{url}/v1/meters")
        problem(answer, 503)
        assert answer.headers["retry-after"]
        assert "meterproof_database_up 0.0" in httpx.get(f"{url}/metrics").text


def test_a_slow_query_is_cut_off(running, serving):

    with serving(running.dsn, statement_timeout_s=0.3) as url, psycopg.connect(running.dsn) as conn:
        conn.execute("lock table alert in access exclusive mode")
        assert "narrow" in problem(httpx.get(f"{url}/v1/alerts"), 503)["detail"]


def test_a_foreign_host_name_is_refused(shared):
    body = problem(shared.client.get("/v1/alerts", headers={"Host": "evil.example"}), 421)
    assert "api.allowed_hosts" in body["detail"]
    assert shared.client.get("/readyz", headers={"Host": "10.0.0.7:8017"}).status_code == 200


def test_alert_of_a_zone_has_no_serial(shared):
    alert = shared.client.get(f"/v1/alerts/{shared.city.alerts['zone_imbalance']}").json()
    assert (alert["serial"], alert["zone"], alert["medium"]) == (None, "DMA-03", "water")


def test_an_alert_without_findings_in_force_keeps_the_superseded(running):
    running.query("update finding set superseded_at = now() where kind = 'stopped' returning 1")
    alert = running.client.get(f"/v1/alerts/{running.city.alerts['stopped']}").json()
    assert alert["finding_items"][0]["superseded_at"] is not None
    assert running.client.get(f"/alerts/{alert['alert_id']}").status_code == 200
