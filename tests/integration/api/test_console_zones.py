"""The zone's page and the balance's part of a meter's page, as text and in a real browser."""

import re

import psycopg
import pytest
from playwright.sync_api import expect, sync_playwright
from zone_day import SHUT, write_day

ZONE = "/zones/dazhou-power/TG-0417"
METER = "/meters/dazhou-power/"
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


def page(running, path, language="en", status=200):
    answer = running.client.get(path, params={"lang": language}, headers={"Accept": "text/html"})
    assert answer.status_code == status
    shown = re.sub(r"<script.*?</script>", "", answer.text, flags=re.S)
    assert not re.search(r"\b(nan|NaN|null|undefined|None)\b", shown), path
    return shown


def seeded(running, gate=None):
    with psycopg.connect(running.dsn) as conn:
        write_day(conn, running.city, gate)


def test_an_open_gate_with_figures_and_ranked_remedies(running):
    seeded(running)
    english, chinese = page(running, ZONE), page(running, ZONE, "zh")
    for text in ("Gate open", "2 of 4", "99.50 %", "672", "2.10 %", "none seen", "2 more decidable", "30 more days"):
        assert text in english
    for text in ("闸门开启", "4 只中 2 只", "近一月线损率", "未发现", "现场检验表计", "再积累 30 天的读数"):
        assert text in chinese
    assert english.index("A test on site of meter") < english.index("30 more days")
    assert 'href="/meters/dazhou-power/E-10022?lang=en"' in english.split('class="remedies"')[1].split("</ol>")[0]


def test_a_shut_gate_tells_why_in_words_with_units(running):
    seeded(running, SHUT)
    english, chinese = page(running, ZONE), page(running, ZONE, "zh")
    interval_s = running.query("select interval_s from zone where code = 'TG-0417'")[0][0]
    size = f"{0.4 * 3600 / interval_s:,.3g} kW"
    for text in ("Gate shut", f"{size}, 2.50 % of the zone", "12.35 %", "no more than 10.00 %",
                 f"{size} since 2026-03-21"):  # fmt: skip
        assert text in english
    for text in ("闸门关闭", f"约有 {size}（占总负荷 2.50 %）", "近一月线损率为 12.35 %", "始于 2026-03-21"):
        assert text in chinese


def test_zones_without_report_and_unknown_zones(shared):
    assert "has not been assessed yet" in page(shared, "/zones/dazhou-water/DMA-03")
    assert "尚未评定" in page(shared, "/zones/dazhou-water/DMA-03", "zh")
    assert "没有已备案的分区（台区）X" in page(shared, "/zones/dazhou-water/X", "zh", 404)


def test_the_figures_rows_are_sorted_and_tell_what_they_show(running):
    seeded(running)
    text = page(running, ZONE)
    rows = re.findall(r'aria-label="(E-[^"]*)" class="figure-row" data-decidable="(\w+)"', text)
    assert [row[0][:7] for row in rows] == ["E-10022", "E-10021", "E-10024", "E-10023"]
    assert [row[1] for row in rows] == ["no", "yes", "yes", "no"]
    assert "no limit stated" in rows[0][0]
    assert "error −3.40 % ± 0.76 % (k = 2), limits ±2.00 %, Nonconforming, decidable" in rows[2][0]
    assert "no estimate" in rows[3][0]


@pytest.mark.parametrize(
    ("serial", "english", "chinese"),
    [
        ("E-10024", ("−3.40 % ± 0.76 %", "&gt; 99.99 %", "2026-03-15", "What was believed", "63 %"),
         ("可判定", "表计误差的先验分布", "方差占比")),
        ("E-10022", ("no limit stated", "Register its accuracy class", "no change seen"), ("未规定最大允许误差",)),
        ("E-10023", ("no estimate", "Meter E-10021: Readings are missing, certificate C-9", "No parts"),
         ("表计 E-10021：采集缺失，总表证书 C-9 已过有效期", "没有不确定度分量的记录")),
    ],
)  # fmt: skip
def test_a_meters_page_tells_its_estimate_or_why_there_is_none(running, serial, english, chinese):
    seeded(running)
    for language, texts in (("en", english), ("zh", chinese)):
        text = page(running, METER + serial, language)
        for one in texts:
            assert one in text


def test_a_meter_that_was_never_assessed_says_so(shared):
    assert "No balance has assessed this meter yet" in page(shared, METER.replace("power", "gas") + "G-220915")


def test_the_interface_names_the_meter_of_a_remedy(running):
    seeded(running)
    report = running.client.get("/v1" + ZONE).json()["report"]
    assert (report["meters"], report["decidable"]) == (4, 2)
    assert [one["serial"] for one in report["remedies"]] == ["E-10022", None]


@pytest.mark.browser
@pytest.mark.parametrize(("language", "heading"), [("en", "Meter E-10022"), ("zh", "表计 E-10022")])
def test_a_row_of_the_figure_leads_to_the_meter_by_keyboard_and_mouse(running, chromium, language, heading):
    seeded(running, SHUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        tab = browser.new_page(viewport={"width": 390, "height": 844})
        complaints: list[str] = []
        tab.on("console", lambda message: complaints.append(message.text))
        for way in ("keyboard", "mouse"):
            tab.goto(f"{running.url}{ZONE}?lang={language}")
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
            row = tab.locator(".figure-row").first
            frame = tab.locator(".figure-frame").bounding_box()
            label = tab.locator(".figure-row .serial").first.bounding_box()
            for limit in tab.locator(".figure-row .limit, .figure-row .dot").all():
                box = limit.bounding_box()
                assert label["x"] + label["width"] < box["x"] <= box["x"] + box["width"] < frame["x"] + frame["width"]
            if way == "keyboard":
                row.focus()
                tab.keyboard.press("Enter")
            else:
                row.click()
            expect(tab.locator("h1")).to_have_text(heading)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []
        browser.close()
