"""An inspector's way through the console in a real browser."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

pytestmark = pytest.mark.browser

# In a container the browser runs as root and has no sandbox of its own.
_ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield running
        running.close()


class Watched:
    """A page, what its console complained about, and which hosts it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


WORDS = {
    "en": {"kind": "Meter stopped", "dismiss": "Dismiss", "dismissed": "Dismissed", "name": "Your name",
           "reason": "Reason"},
    "zh": {"kind": "表计停走", "dismiss": "排除", "dismissed": "已排除", "name": "处理人", "reason": "理由"},
}  # fmt: skip


@pytest.mark.parametrize(("language", "locale"), [("en", "en-GB"), ("zh", "zh-CN")])
def test_an_inspector_dismisses_an_alert(running, browser, language, locale, tmp_path):
    words = WORDS[language]
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale=locale)
    watched = Watched(page)
    page.goto(running.url)
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_role("link", name=words["kind"]).click()
    expect(page.locator("h1")).to_have_text(words["kind"])
    expect(page.locator("#chart canvas")).to_have_count(2)
    assert painted(page)
    page.screenshot(path=tmp_path / "alert.png")
    page.get_by_label(words["name"]).fill("王工")
    page.get_by_role("button", name=words["dismiss"]).click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label(words["name"])).to_have_value("王工")
    assert [text for text in watched.complaints if "422" not in text] == []
    watched.complaints.clear()
    page.get_by_label(words["reason"]).fill("用户外出，阀门关闭")
    page.get_by_role("button", name=words["dismiss"]).click()
    expect(page.locator(".badges")).to_contain_text(words["dismissed"])
    expect(page.locator(".history")).to_contain_text("用户外出，阀门关闭")
    expect(page.locator("#chart canvas")).to_have_count(2)
    page.goto(running.url)
    expect(page.locator("tbody tr")).to_have_count(5)
    assert watched.complaints == []
    assert watched.hosts == {running.url.removeprefix("http://")}
    assert (tmp_path / "alert.png").stat().st_size > 10_000
    page.close()


def painted(page: Page) -> bool:
    """Whether the first chart holds the line's colour."""
    return bool(
        page.evaluate(
            """() => {
                const canvas = document.querySelector("#chart canvas");
                const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                let hits = 0;
                const line = [15, 95, 117, 255];
                for (let i = 0; i < pixels.length; i += 4)
                    if (line.every((value, j) => pixels[i + j] === value)) hits++;
                return hits > 50;
            }"""
        )
    )


def test_every_kind_of_chart_is_drawn(shared, browser):
    page = browser.new_page(locale="en-GB")
    watched = Watched(page)
    for kind, canvases in (
        ("error_beyond_mpe", 1),
        ("transient_glitch", 2),
        ("backward_step", 2),
        ("zone_imbalance", 0),
    ):
        page.goto(f"{shared.url}/alerts/{shared.city.alerts[kind]}")
        if canvases:
            expect(page.locator("#chart canvas")).to_have_count(canvases)
            assert painted(page), kind
        else:
            expect(page.locator("#chart")).to_have_count(0)
    assert watched.complaints == []
    page.close()


def test_the_console_fits_a_phone(shared, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844}, locale="zh-CN")
    for path in (
        "/",
        f"/alerts/{shared.city.alerts['error_beyond_mpe']}",
        "/replacements",
        "/meters/dazhou-power/E-10024",
    ):
        page.goto(shared.url + path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.close()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_outcome_of_an_error_alert_is_in_sight(running, browser, language):
    """On a common screen no column is cut off, and a verdict that was withheld shows its reason."""
    running.query(
        "update assessment set outcome = 'withheld', p_nonconforming = null, error_pct = null, std_pct = null,"
        """ reasons = '[{"code": "zone_not_understood", "text": "x"}, {"code": "member_at_fault", "text": "y"}]'"""
        " where window_end > (select max(window_end) - interval '3 days' from assessment) returning 1"
    )
    page = browser.new_page(viewport={"width": 1200, "height": 900}, locale="zh-CN")
    page.goto(f"{running.url}/alerts/{running.city.alerts['error_beyond_mpe']}?lang={language}")
    table = page.locator("#assessments")
    assert table.evaluate("t => t.scrollWidth <= t.parentElement.clientWidth")
    cells = table.locator("tbody tr.withheld td:last-child small")
    expect(cells).to_have_count(6)
    for cell in cells.all():
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= table.evaluate("t => t.parentElement.getBoundingClientRect().right")
    page.close()


def test_without_javascript_the_decision_still_works(running, browser):
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(f"{running.url}/alerts/{running.city.alerts['backward_step']}")
    expect(page.get_by_text("The chart needs JavaScript")).to_be_visible()
    expect(page.locator("#evidence tbody tr")).to_have_count(2)
    page.get_by_label("Your name").fill("Wang")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".badges")).to_contain_text("Acknowledged")
    context.close()


def test_a_chart_that_fails_to_load_says_so(shared, browser):
    page = browser.new_page(locale="en-GB")
    page.route("**/chart?*", lambda route: route.fulfill(status=503, body="{}"))
    page.goto(f"{shared.url}/alerts/{shared.city.alerts['stopped']}")
    expect(page.locator("#chart .caption")).to_contain_text("could not be loaded")
    page.close()


def test_vendored_files_are_those_that_the_version_file_names():

    folder = Path(__file__).parents[3] / "api" / "static" / "vendor" / "uplot"
    named = [line.split() for line in (folder / "VERSION").read_text().splitlines() if line.startswith("sha256")]
    assert len(named) == 2
    for _, digest, name in named:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
