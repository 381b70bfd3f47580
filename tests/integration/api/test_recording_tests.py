"""Tests on site over the interface and in the console: recorded, corrected openly, refused with place and remedy."""

from typing import Any

import psycopg
import pytest

from store.standard_import import import_standards
from store.tables import parse_csv

SERIAL = "0045-7782"
PATH = f"/v1/meters/dazhou-water/{SERIAL}/site-tests"
POINTS = [
    {"load": 0.3, "error_pct": 0.6, "expanded_uncertainty_pct": 0.4},
    {"load": 0.025, "error_pct": -7.5, "expanded_uncertainty_pct": 0.5},
]
BODY = {"tested_at": "2026-04-02T03:30:00Z", "standard": "BZ-1", "tested_by": "王工", "points": POINTS}
STANDARDS = (
    "code,certificate,expanded_uncertainty_pct,valid_from,valid_until\nBZ-1,川量 24-7,0.3,2025-06-01,2027-05-31\n"
)


@pytest.fixture
def city(running):
    with psycopg.connect(running.dsn) as conn:
        import_standards(conn, parse_csv(STANDARDS, "s.csv"), utility="dazhou-water", actor="t")
    return running


def post(city: Any, path: str = PATH, **changes: Any) -> Any:
    return city.client.post(path, json={**BODY, **changes})


def test_a_test_is_recorded_with_its_standard_and_listed(city):
    answer = post(city, note="阀门后", alert_id=city.city.alerts["stopped"])
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["certificate"], made["standard_valid_until"]) == ("川量 24-7", "2027-05-31")
    assert [point["load"] for point in made["points"]] == [0.025, 0.3]
    assert made["points"][0]["coverage_factor"] == 2.0
    assert made["recorded_by"] == "王工"
    assert city.client.get(PATH).json() == {"items": [made], "next": None}
    [(actor, action, subject)] = city.query("select actor, action, subject from audit_log where actor = '王工'")
    assert (actor, action, subject) == ("王工", "site_test.record", f"site_test/{made['site_test_id']}")
    assert city.client.get(f"/v1/meters/dazhou-water/{SERIAL}").json()["serial"] == SERIAL


def test_a_correction_names_what_it_corrects_and_both_stay(city):
    first = post(city).json()
    again = post(city)
    assert again.status_code == 409
    assert f"site test {first['site_test_id']}" in again.json()["detail"]
    corrected = post(city, corrects=first["site_test_id"], points=POINTS[:1]).json()
    assert corrected["supersedes_id"] == first["site_test_id"]
    items = city.client.get(PATH).json()["items"]
    assert [item["superseded_at"] is None for item in items] == [True, False]
    assert len(items[1]["points"]) == 2
    assert post(city, corrects=first["site_test_id"]).status_code == 404


def test_pages_of_tests_follow_each_other(city):
    for day in range(1, 6):
        post(city, tested_at=f"2026-04-0{day}T00:00:00Z").raise_for_status()
    seen, following = [], None
    for _ in range(3):
        page = city.client.get(PATH, params={"limit": 2, **({"cursor": following} if following else {})}).json()
        seen += [item["tested_at"][:10] for item in page["items"]]
        following = page["next"]
    assert following is None
    assert seen == [f"2026-04-0{day}" for day in range(5, 0, -1)]


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"tested_at": "2199-01-01T00:00:00Z"}, 422, "body.tested_at"),
        ({"tested_at": "2026-04-02 08:00"}, 422, "body.tested_at"),
        ({"standard": "BZ-9"}, 404, "meterproof import standards"),
        ({"tested_by": " "}, 422, "body.tested_by"),
        ({"tested_by": "verifier"}, 422, "software's own name"),
        ({"points": []}, 422, "body.points"),
        ({"points": [POINTS[0], POINTS[0]]}, 422, "load 0.3 stands in two points"),
        ({"points": [{**POINTS[0], "expanded_uncertainty_pct": 0.2}]}, 422, "the standard's own, 0.3 % (k = 2)"),
        ({"points": [{**POINTS[0], "load": 0}]}, 422, "body.points.0.load"),
        ({"points": [{**POINTS[0], "loads": 1}]}, 422, "body.points.0.loads"),
        ({"alert_id": 424242}, 422, "body.alert_id"),
        ({"corrects": 424242}, 404, "424242"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
def test_what_can_not_be_used_is_named_and_nothing_is_recorded(city, changes, status, named):
    answer = post(city, **changes)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"]
    assert city.query("select count(*) from site_test") == [(0,)]


def test_an_alert_of_another_meter_is_refused(city):
    answer = post(city, alert_id=city.city.alerts["backward_step"])
    assert (answer.status_code, "no alert of this meter" in answer.text) == (422, True)


def test_an_unknown_meter_has_no_tests(city):
    assert city.client.get("/v1/meters/dazhou-water/none/site-tests").status_code == 404
    assert post(city, "/v1/meters/dazhou-water/none/site-tests").status_code == 404


FORM = {
    "tested_at": "2026-04-02T11:30", "standard": "BZ-1", "tested_by": "王工", "note": "<现场>",
    "load": ["0.3", "0.025", "", "", ""], "error_pct": ["0.6", "-7.5", "", "", ""],
    "expanded_uncertainty_pct": ["0.4", "0.5", "", "", ""], "coverage_factor": "2", "corrects": "",
}  # fmt: skip


def test_an_inspector_records_a_test_at_the_alert(city):
    alert = f"/alerts/{city.city.alerts['stopped']}"
    before = city.client.get(f"{alert}?lang=en").text
    assert "No test of this meter on site is on record." in before
    assert "Load [m³/h]" in before
    answer = city.client.post(f"{alert}/site-tests?lang=zh", data=FORM)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"{alert}?lang=zh#site-tests"
    [made] = city.client.get(PATH).json()["items"]
    assert made["tested_at"] == "2026-04-02T03:30:00Z"  # typed in the console's time zone
    assert made["alert_id"] == city.city.alerts["stopped"]
    for path in (alert, f"/meters/dazhou-water/{SERIAL}"):
        english, chinese = (city.client.get(f"{path}?lang={lang}").text for lang in ("en", "zh"))
        for text in ("2026-04-02 11:30", "川量 24-7", "−7.50 %", "U = 0.50 %", "王工", "&lt;现场&gt;"):
            assert text in english
        assert "现场检验" in chinese
        assert "有效期至 2027-05-31" in chinese


@pytest.mark.parametrize(
    ("changes", "status", "english", "chinese"),
    [
        ({"tested_at": ""}, 422, "Time of the test", "检验时间"),
        ({"tested_at": "9999-01-01T00:00"}, 422, "Time of the test", "检验时间"),
        ({"load": ["", "0.025", "", "", ""]}, 422, "Load of point 1", "负荷（流量），检验点 1"),
        ({"error_pct": ["0.6", "x", "", "", ""]}, 422, "Error of point 2", "示值误差，检验点 2"),
        ({"load": [""] * 5, "error_pct": [""] * 5, "expanded_uncertainty_pct": [""] * 5}, 422, "Points", "检验点"),
        ({"expanded_uncertainty_pct": ["0.1", "0.5", "", "", ""]}, 422, "Points", "检验点"),
        ({"tested_by": " "}, 422, "Tested by", "检验人"),
        ({"standard": "none"}, 404, "The standard is not registered", "标准装置未登记"),
        ({"corrects": "x"}, 422, "Corrects test number", "更正的检验编号"),
    ],
)
def test_a_wrong_form_keeps_what_was_typed_and_says_what_is_wrong(city, changes, status, english, chinese):
    alert = f"/alerts/{city.city.alerts['stopped']}/site-tests"
    for language, told in (("en", english), ("zh", chinese)):
        answer = city.client.post(f"{alert}?lang={language}", data={**FORM, **changes})
        assert answer.status_code == status
        error = answer.text.partition('role="alert">')[2].partition("</p>")[0]
        assert told in error
        assert "&lt;现场&gt;</textarea>" in answer.text
    assert city.query("select count(*) from site_test") == [(0,)]


def test_a_form_for_a_time_on_record_asks_for_the_number(city):
    alert = f"/alerts/{city.city.alerts['stopped']}/site-tests?lang=en"
    assert city.client.post(alert, data=FORM).status_code == 303
    assert city.client.post(alert, data=FORM).status_code == 409
    [made] = city.client.get(PATH).json()["items"]
    assert city.client.post(alert, data={**FORM, "corrects": str(made["site_test_id"])}).status_code == 303
    assert "corrected since" in city.client.get(f"/alerts/{city.city.alerts['stopped']}?lang=en").text


def test_a_zone_is_not_tested_on_site(city):
    alert = f"/alerts/{city.city.alerts['zone_imbalance']}"
    assert "site-test-form" not in city.client.get(alert).text
    assert city.client.post(f"{alert}/site-tests?lang=en", data=FORM).status_code == 404
