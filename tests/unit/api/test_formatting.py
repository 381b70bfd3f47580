"""Figures as people read them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.formatting import Formatter
from api.texts import Texts

EN, ZH = (Formatter(Texts(language), ZoneInfo("Asia/Shanghai")) for language in ("en", "zh"))


@given(st.integers(-(2**62), 2**62))
def test_a_register_is_shown_exactly(register_micro):
    text = EN.register(register_micro, "electricity")
    number, unit = text.rsplit(" ", 1)
    assert unit == "kWh"
    assert Decimal(number.replace(",", "").replace("−", "-")) * 1_000_000 == register_micro


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 m³"), (1, "0.000001 m³"), (-500_000, "−0.5 m³"), (1_234_560_000, "1,234.56 m³"), (None, "–")],
)
def test_registers(value, text):
    assert EN.register(value, "water") == text


def test_steps_carry_their_sign():
    assert EN.step(2_000_000, "gas") == "+2 m³"
    assert EN.step(-2_000_000, "gas") == "−2 m³"
    assert EN.step(0, "gas") == "0 m³"


@pytest.mark.parametrize(
    ("p", "text"),
    [(1.0, "> 99.99 %"), (0.99995, "> 99.99 %"), (0.9998, "99.98 %"),
     (0.5, "50.00 %"), (0.00005, "< 0.01 %"), (0.0, "< 0.01 %")],
)  # fmt: skip
def test_a_probability_is_never_certainty(p, text):
    assert EN.probability(p) == text


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (3.4, "3 s", "3 秒"),
        (60, "1 min 0 s", "1 分 0 秒"),
        (7_199.6, "2 h 0 min", "2 小时 0 分"),
        (90_000, "1 d 1 h", "1 天 1 小时"),
    ],
)
def test_durations(seconds, english, chinese):
    assert (EN.duration(seconds), ZH.duration(seconds)) == (english, chinese)


def test_times_are_local():
    assert EN.time(datetime(2026, 3, 1, 16, 30, tzinfo=UTC)) == "2026-03-02 00:30"
    assert EN.time(datetime(2026, 3, 1, 16, 30, 5, tzinfo=UTC)) == "2026-03-02 00:30:05"
    assert EN.day(datetime(2026, 3, 1, 16, tzinfo=UTC)) == "2026-03-02"
    assert EN.day(date(2026, 3, 1)) == "2026-03-01"


def test_figures_are_named_with_units_in_the_catalogues_order():
    detail = {
        "p_nonconforming": 0.97,
        "mpe_pct": 2,
        "std_pct": 0.4,
        "error_pct": -3.0,
        "installed_at": "2026-03-01T00:00:00+00:00",
        "counted": True,
        "counted_micro": 5_000_000,
        "list": [1],
        "nothing": None,
        "rate_m3ph": -1.5,
        "strange_figure": 1234567,
    }
    shown = [(figure.label, figure.value) for figure in EN.figures(detail, "water")]
    assert shown[:4] == [
        ("Error of indication", "−3.00 %"),
        ("Expanded uncertainty (k = 2)", "0.80 %"),
        ("Maximum permissible error", "±2.00 %"),
        ("Probability beyond the MPE", "97.00 %"),
    ]
    assert ("Installed", "2026-03-01 08:00") in shown
    assert ("Mean rate of the step", "−1.5 m³/h") in shown
    assert ("Counted in the total", "yes") in shown
    assert ("Counted in the total", "5 m³") in shown
    assert shown[-1] == ("Strange figure", "1,234,567")
    assert len(shown) == 9
