"""The console's pages as a browser without JavaScript gets them."""

import html
import re

import httpx
import psycopg
import pytest
from seeded_city import add_alert, add_finding, hour

from api.security import CONTENT_SECURITY_POLICY


def page(client: httpx.Client, path: str, **headers: str) -> str:
    """The text of a page."""
    answer = client.get(path, headers={"Accept": "text/html", **headers})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_inbox_shows_the_alerts_in_both_languages(shared):
    english, chinese = page(shared.client, "/?lang=en"), page(shared.client, "/?lang=zh")
    for text in ("Meter stopped", "0045-7782", "达川区 南国路 7 号", "DMA-03", "2026-03-17 03:00", "5,760"):
        assert text in english
    for text in ("表计停走", "计量误差超差", "示数倒走", "待处理", "分区（台区）"):
        assert text in chinese
    assert '<html lang="zh-CN">' in chinese


@pytest.mark.parametrize(
    ("accept", "language"),
    [("zh-CN,zh;q=0.9,en;q=0.5", "zh-CN"), ("en-GB,en;q=0.9", "en"), ("de,fr;q=0.8", "en"), ("", "en"),
     ("en;q=0.2,zh;q=0.3", "zh-CN")],
)  # fmt: skip
def test_the_browser_chooses_the_language(shared, accept, language):
    assert f'<html lang="{language}">' in page(shared.client, "/", **{"Accept-Language": accept})
    assert '<html lang="zh-CN">' in page(shared.client, "/?lang=zh", **{"Accept-Language": accept})


def test_a_chosen_language_is_kept_in_links(shared):
    assert "/alerts/1?lang=zh" in page(shared.client, "/?lang=zh")
    assert 'href="/alerts/1"' in page(shared.client, "/")


def test_the_quarantine_is_listed_with_reason_and_remedy(running):
    assert 'href="/quarantine?lang=en"' in page(running.client, "/?lang=en")
    with psycopg.connect(running.dsn) as conn:
        conn.execute(
            """insert into quarantine (message_digest, reason, detail, utility, topic, payload, batch_id, received_at)
               values ('\\x01', 'utility_unknown', 'utility <b>', 'village', 'mp/v1/village/gw/readings', '\\x00', 1,
                       now())"""
        )
    english, chinese = page(running.client, "/quarantine?lang=en"), page(running.client, "/quarantine?lang=zh")
    for text in ("mp/v1/village/gw/readings", "meterproof import meters FILE", "utility &lt;b&gt;", "not decodable"):
        assert text in english
    assert "供应企业尚未备案登记" in chinese
    assert "先导入该企业的表计档案" in chinese
    chosen = page(running.client, "/quarantine?lang=en&reason=utility_unknown&utility=&state=open")
    assert "byte 0: no JSON" not in chosen
    assert "not decodable" in chosen  # still to be chosen
    assert "Nothing is in quarantine" in page(running.client, "/quarantine?lang=en&state=released")


def test_filters_and_tabs(shared):
    filtered = page(shared.client, "/?lang=en&medium=gas&kind=&severity=&utility=")
    assert "G-220915" in filtered
    assert "0045-7782" not in filtered
    assert "Nothing to decide" not in filtered
    assert "No alert matches" in page(shared.client, "/?lang=en&state=dismissed")
    assert "No alert matches" in page(shared.client, "/?lang=en&medium=gas&severity=alarm")


def test_the_empty_inbox_is_friendly(migrated_dsn, serving):
    with serving(migrated_dsn) as url, httpx.Client(base_url=url) as client:
        assert "Nothing to decide" in page(client, "/?lang=en")
        assert "暂无待处理预警" in page(client, "/?lang=zh")
        assert "No meter is known to be due" in page(client, "/replacements?lang=en")


def test_inbox_pages(shared, serving):
    with serving(shared.dsn, page_size=4, language="en") as url, httpx.Client(base_url=url) as client:
        first = page(client, "/")
        following = re.search(r'rel="next" href="([^"]+)"', first)
        assert following
        second = page(client, html.unescape(following.group(1)))
        ids = [set(re.findall(r'href="/alerts/(\d+)"', text)) for text in (first, second)]
        assert [len(one) for one in ids] == [4, 2]
        assert not ids[0] & ids[1]


def test_alert_page_tells_what_happened_with_figures_and_units(shared):
    text = page(shared.client, f"/alerts/{shared.city.alerts['transient_glitch']}?lang=en")
    registers = shared.city.registers["E-10022"]
    assert f"−{(registers[499] - registers[500]) / 1e6:,.3f}".rstrip("0") + " kWh" in text
    assert "0.718 kWh" in text
    assert "off the level" in text
    assert "batch 21, message 20" in text
    assert "2 h 0 min" in text
    chinese = page(shared.client, f"/alerts/{shared.city.alerts['transient_glitch']}?lang=zh")
    assert "示数短时偏离后又恢复原值" in chinese
    assert "2 小时 0 分" in chinese


def test_alert_page_of_an_error_states_uncertainty_and_limit(shared):
    text = page(shared.client, f"/alerts/{shared.city.alerts['error_beyond_mpe']}?lang=zh")
    for part in ("−3.42 %", "0.76 %", "±2.00 %", "&gt; 99.99 %", "最大允许误差", "扩展不确定度", "示值误差", "超差"):
        assert part in text


def test_alert_page_of_a_zone_tells_the_reasons(shared):
    path = f"/alerts/{shared.city.alerts['zone_imbalance']}"
    assert "不平衡量无法解释" in page(shared.client, f"{path}?lang=zh")
    assert "the balance leaves too much unexplained" in page(shared.client, f"{path}?lang=en")


def test_verdicts_that_were_withheld_say_why(running):
    """The zone's page shows its meters in the last window; a meter without a limit has none to show."""
    running.query(
        """insert into assessment (zone_id, meter_id, window_start, window_end, error_pct, std_pct, mpe_pct,
                p_nonconforming, outcome, reasons, assessed_at, commit_seq, software_version, settings_digest)
           select %s, meter_id, %s, %s, -1.5, 0.5, null, null, 'withheld', '[{"code": "no_limit", "text": "none"}]',
                  now(), 1, '0.1.0', digest
           from meter, settings_snapshot where serial like '0045-778_' returning 1""",
        running.city.zones["DMA-03"],
        hour(400),
        hour(700),
    )
    text = page(running.client, f"/alerts/{running.city.alerts['zone_imbalance']}?lang=en")
    assert text.count("No limit is stated for this meter") == 3
    assert "0045-7783" in text


def test_every_alert_has_a_page_in_both_languages(shared):
    for alert_id in shared.city.alerts.values():
        for language in ("en", "zh"):
            text = page(shared.client, f"/alerts/{alert_id}?lang={language}")
            assert "{" not in re.sub(r"<script.*?</script>", "", text)


def test_an_unknown_kind_and_odd_detail_still_have_a_page(running):
    with psycopg.connect(running.dsn) as conn:
        subject, span = (running.city.meters["E-10021"], None), (hour(5), hour(6))
        detail = {"odd_thing": "<b>", "nested": {"a": 1}, "none": None, "list": [1], "p_x": 1.0, "share_pct": 3}
        finding = add_finding(conn, "new_kind", "warning", subject, span, detail, {"not": "a list"})  # type: ignore[arg-type]
        alert_id = add_alert(conn, "new_kind", "warning", subject, span, finding)
    text = page(running.client, f"/alerts/{alert_id}?lang=zh")
    assert "new kind" in text
    assert "&lt;b&gt;" in text
    assert "new kind" in page(running.client, "/")


def test_what_people_type_is_escaped(running):
    alert_id = running.city.alerts["stopped"]
    form = {"actor": "<script>alert(1)</script>", "reason": '"><img src=x onerror=alert(1)>'}
    answer = running.client.post(f"/alerts/{alert_id}/confirm", data=form)
    assert answer.status_code == 303
    text = page(running.client, answer.headers["location"])
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_dismissing_without_a_reason_keeps_what_was_typed(running):
    alert_id = running.city.alerts["stopped"]
    answer = running.client.post(f"/alerts/{alert_id}/dismiss?lang=zh", data={"actor": "王工 & 李工", "reason": ""})
    assert answer.status_code == 422
    assert 'value="王工 &amp; 李工"' in answer.text
    assert "请填写理由" in answer.text
    assert f"/alerts/{alert_id}/dismiss?lang=zh" in answer.text
    answer = running.client.post(f"/alerts/{alert_id}/dismiss?lang=en", data={"actor": "", "reason": "known <leak>"})
    assert answer.status_code == 422
    assert "known &lt;leak&gt;</textarea>" in answer.text
    assert "Give your name" in answer.text


def test_a_conflicting_form_is_told_in_place(running):
    alert_id = running.city.alerts["stopped"]
    running.client.post(f"/alerts/{alert_id}/dismiss", data={"actor": "王工", "reason": "停用"})
    answer = running.client.post(f"/alerts/{alert_id}/confirm?lang=en", data={"actor": "李工", "reason": "坏了"})
    assert answer.status_code == 409
    assert "“Dismissed”" in answer.text
    assert "坏了</textarea>" in answer.text
    corrected = running.client.post(
        f"/alerts/{alert_id}/confirm?lang=en", data={"actor": "李工", "reason": "坏了", "revise": "yes"}
    )
    assert corrected.status_code == 303
    assert corrected.headers["location"] == f"/alerts/{alert_id}?lang=en"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_form_from_another_site_is_refused(shared, headers):
    path = f"/alerts/{shared.city.alerts['stopped']}/acknowledge"
    answer = shared.client.post(path, data={"actor": "x"}, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_form_from_the_console_itself_is_taken(running):
    path = f"/alerts/{running.city.alerts['stopped']}/acknowledge"
    headers = {"Origin": running.url, "Sec-Fetch-Site": "same-origin"}
    assert running.client.post(path, data={"actor": "x"}, headers=headers).status_code == 303


def test_every_answer_carries_the_security_headers(shared):
    for path in ("/", "/alerts/1", "/v1/alerts", "/v1/nothing", "/static/chart.js", "/metrics"):
        headers = shared.client.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_pages_load_nothing_from_elsewhere(shared):
    for path in ("/", "/alerts/5", "/replacements", "/meters/dazhou-power/E-10024"):
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', page(shared.client, path)):
            assert address.startswith(("/", "#")), address
            assert not address.startswith("//")
            if address.startswith("/static/"):
                assert shared.client.get(address).status_code == 200


def test_meter_and_replacement_pages(shared):
    meter = page(shared.client, "/meters/dazhou-water/0045-7781?lang=zh")
    assert "示数倒走" in meter
    assert "川达仪表" in meter
    listed = page(shared.client, "/replacements?lang=zh&as_of=2026-03-31&medium=")
    assert "检定有效期至 2025-12-31（到期更换）" in listed
    assert "E-10023" in listed
    assert "E-10023" not in page(shared.client, "/replacements?lang=zh&as_of=2026-03-31&medium=water")


def test_the_inbox_is_ordered_as_it_says_and_pages_stay_right(running, serving):
    """Alarms first, then by the time when each was raised, which is shown; an alert that goes on keeps its place."""
    running.query(
        "update alert set opened_at = '2026-05-01T00:00Z' where kind in ('stopped', 'backward_step') returning 1"
    )
    with serving(running.dsn, page_size=2, language="zh") as url, httpx.Client(base_url=url) as client:
        seen, path = [], "/"
        while path:
            text = page(client, path)
            seen += [int(number) for number in re.findall(r'class="strong" href="/alerts/(\d+)"', text)]
            following = re.search(r'rel="next" href="([^"]+)"', text)
            path = html.unescape(following.group(1)) if following else ""
            running.query("update alert set last_at = now() where kind = 'transient_glitch' returning 1")
    expected = running.query("select alert_id from alert order by severity, opened_at desc, alert_id desc")
    assert seen == [alert_id for (alert_id,) in expected]
    assert "2026-05-01 08:00" in page(running.client, "/")
    assert "同级别按预警时间由近到远排列" in page(running.client, "/?lang=zh")


def test_an_ongoing_finding_is_told_up_to_the_latest_reading_checked(running):
    """What was frozen when it was recognised must not read as if it had ended."""
    path = f"/alerts/{running.city.alerts['stopped']}"
    before = page(running.client, f"{path}?lang=en")
    assert "at least 14 d 0 h, when recognised" in before
    running.query(
        "insert into meter_state values (%s, %s, %s, 0, '') returning 1",
        running.city.meters["0045-7782"], hour(719), hour(719),
    )  # fmt: skip
    english, chinese = page(running.client, f"{path}?lang=en"), page(running.client, f"{path}?lang=zh")
    assert "at least 14 d 4 h (recognised after 14 d 0 h)" in english
    assert "yes, at the latest reading checked: 2026-03-31 07:00" in english
    assert "at the latest one checked, 2026-03-31 07:00, it still had not" in english
    assert "至少 14 天 4 小时（判定时为 14 天 0 小时）" in chinese
    assert "截至最近一次核验的读数（2026-03-31 07:00）仍无变化" in chinese
    chart = running.client.get(f"/v1{path}/chart").json()
    assert chart["concerned_s"] == [hour(379).timestamp(), hour(719).timestamp()]
    running.query("update finding set superseded_at = now() where kind = 'stopped' returning 1")
    assert "at least 14 d 0 h, when recognised" in page(running.client, f"{path}?lang=en")
    assert running.client.get(f"/v1{path}/chart").json()["concerned_s"][1] == hour(715).timestamp()


def test_the_replacement_list_says_of_how_many_meters_the_validity_is_not_known(running):
    empty = "/replacements?as_of=2020-01-01&lang="
    running.query("update installation set during = '(,)' returning 1")
    assert "validity-unknown" not in page(running.client, f"{empty}en")
    running.query("update meter set validity_until = null where serial in ('E-10021', 'E-10023') returning 1")
    assert "Installed meters without a date of validity on record: 2." in page(running.client, f"{empty}en")
    chinese = page(running.client, f"{empty}zh")
    assert "未登记检定有效期的在装表计：2 只，无法判断是否到期。" in chinese
    assert "在装表计均在检定有效期内" not in chinese
    listed = page(running.client, "/replacements?as_of=2026-03-31&lang=en")
    assert "0045-7783" in listed
    assert "on record: 2." in listed
    by_medium = running.client.get("/v1/replacements?medium=water").json()
    assert by_medium["validity_unknown"] == {"count": 0, "at_least": False}


def test_the_rule_for_conflicting_values_is_the_verifiers(running):
    with psycopg.connect(running.dsn) as conn:
        subject, span = (running.city.meters["E-10021"], None), (hour(100), hour(100))
        finding = add_finding(conn, "conflicting_values", "warning", subject, span, {}, [])
        alert_id = add_alert(conn, "conflicting_values", "warning", subject, span, finding)
    assert "the lowest is used" in page(running.client, f"/alerts/{alert_id}?lang=en")
    assert "计算采用其中最小的值" in page(running.client, f"/alerts/{alert_id}?lang=zh")


ODD_SERIALS = ("ä/ö?#% x", "a/../b", "/", "x/", "7%2F8", "...", "a/readings/b")


@pytest.mark.parametrize("serial", ODD_SERIALS)
def test_every_serial_that_can_be_registered_is_reachable(running, serial):
    running.query("update meter set serial = %s where serial = 'E-10024' returning 1", serial)
    inbox = page(running.client, "/?lang=en")
    links = [html.unescape(a) for a in re.findall(r'href="(/meters/dazhou-power/[^"]+)"', inbox)]
    (link,) = [a for a in links if "E-100" not in a]
    text = page(running.client, link)
    assert html.escape(serial) in text
    other = html.unescape(re.search(r'class="language" href="([^"]+)"', text).group(1))
    assert f"表计 {html.escape(serial)}" in page(running.client, other)
    address = "/v1" + link.partition("?")[0]
    assert running.client.get(address).json()["serial"] == serial
    assert running.client.get(f"{address}/readings?limit=1").json()["serial"] == serial
    assert running.client.get(f"{address}/readings/downsampled?buckets=2").json()["serial"] == serial


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/alerts/424242", "没有 424242 号预警。"),
        ("/meters/dazhou-water/n%2F1", "供应企业 dazhou-water 没有已备案的表计 n/1。"),
        ("/nowhere", "没有此地址：/nowhere"),
        ("/?kind=%3Cscript%3E", "参数 kind 的值“&lt;script&gt;”无法采用，可用值：backward_step、"),
        ("/?medium=steam", "可用值：electricity、water、gas"),
        ("/?cursor=x", "参数 cursor 的值“x”无法采用"),
    ],
)
def test_what_is_often_wrong_is_told_in_chinese(shared, path, text):
    answer = shared.client.get(path, headers={"Accept": "text/html", "Accept-Language": "zh"})
    assert answer.status_code in (404, 422)
    assert text in answer.text
    assert "does not exist" not in answer.text


@pytest.mark.parametrize("path", ["/alerts/424242", "/nowhere", "/meters/dazhou-water/none"])
def test_a_missing_page_is_a_page(shared, path):
    answer = shared.client.get(f"{path}?lang=zh", headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert "返回预警列表" in answer.text
    program = shared.client.get(path, headers={"Accept": "application/json"})
    assert program.headers["content-type"] == "application/problem+json"


def test_a_wrong_filter_is_a_page_too(shared):
    answer = shared.client.get("/?state=nope&lang=en", headers={"Accept": "text/html"})
    assert answer.status_code == 422
    assert "query.state" in answer.text
