"""Check meters and site tests from a real database: measurements with budgets, or reasons."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from store.site_test_import import import_site_tests
from store.standard_import import import_standards
from store.tables import parse_csv
from store.times import to_micros
from verifier.comparison_sources import comparisons_until
from verifier.pair_comparison import FoundComparison

City = Any
Make = Callable[..., City]
START = datetime(2026, 1, 1, tzinfo=UTC)  # of the city's hours
DAYS = 30
END_US = to_micros(START) + DAYS * 86_400_000_000


@pytest.fixture
def city(make_city: Make) -> City:
    """Meter 1 registers 1.5 % too much; meter 2, in series with it at p1, is right; meter 3 stands alone."""
    made = make_city(3)
    made.connection.execute("update meter set mpe_pct = 4")
    made.connection.execute("update installation set role = 'check', service_point_id = 1 where meter_id = 2")
    made.connection.commit()
    flow = np.where(np.arange(DAYS * 24) % 24 < 6, 0.01, 0.2) * np.random.default_rng(5).lognormal(0, 0.4, DAYS * 24)
    total = np.concatenate([[0], np.cumsum(flow)])
    made.deliver(
        [(1, h, round(1.015 * q, 3)) for h, q in enumerate(total)]
        + [(2, h, round(q, 3)) for h, q in enumerate(total)]
        + [(3, h, round(q, 3)) for h, q in enumerate(total)]
    )
    return made


def standards(city: City, row: str) -> None:
    text = f"code,meter,certificate,expanded_uncertainty_pct,valid_from,valid_until\n{row}\n"
    import_standards(city.connection, parse_csv(text, "s.csv"), utility="u", actor="t")
    city.connection.commit()


def site_test(city: City, *rows: str) -> None:
    header = "meter,tested_at,standard,load,error_pct,expanded_uncertainty_pct,tested_by\n"
    table = parse_csv(header + "\n".join(rows) + "\n", "t.csv")
    import_site_tests(city.connection, table, utility="u", time_zone="UTC", actor="t")
    city.connection.commit()


def found(city: City, end_us: int = END_US, seq: int = 100, ids: Any = (1, 2, 3)) -> list[FoundComparison]:
    result = comparisons_until(city.connection, ids, end_us, seq, city.settings)
    city.connection.rollback()
    return result


def test_a_check_meter_in_series_measures_the_meter(city: City) -> None:
    standards(city, "CHK,m2,C-2,0.5,2025-06-01,2027-06-01")
    [one] = found(city)
    assert (one.meter_id, one.kind, one.reasons) == (1, "check_meter", ())
    assert one.comparison is not None
    assert one.budget is not None
    assert one.comparison.error_pct == pytest.approx(1.5, abs=0.02)
    assert one.comparison.end_us - one.comparison.start_us == (28 * 24 - 1) * 3_600_000_000
    assert 0.25 < one.comparison.std_pct < 0.3
    assert one.budget.share("standard") > 0.8


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("OTHER,,C-9,0.5,2025-06-01,2027-06-01", "no_certificate"),
        ("CHK,m2,C-2,0.5,2024-06-01,2025-06-01", "standard_expired"),
        ("CHK,m2,C-2,1.5,2025-06-01,2027-06-01", "standard_unfit"),
    ],
)
def test_a_check_meter_that_must_not_measure_says_why(city: City, row: str, code: str) -> None:
    standards(city, row)
    [one] = found(city)
    assert one.comparison is None
    assert [reason.code for reason in one.reasons] == [code]


def test_a_check_meter_is_one_only_while_it_stands_there(city: City) -> None:
    standards(city, "CHK,m2,C-2,0.5,2025-06-01,2027-06-01")
    since = START + timedelta(days=20)
    city.connection.execute("update installation set during = tstzrange(%s, null) where meter_id = 2", (since,))
    city.connection.commit()
    [one] = found(city)
    assert one.comparison is not None
    assert one.comparison.start_us >= to_micros(since)
    assert found(city, to_micros(since)) == []
    city.connection.execute("update installation set phase = '1' where meter_id = 2")
    city.connection.commit()
    assert found(city) == []


def test_a_check_meter_that_was_taken_away_is_compared_up_to_then(city: City) -> None:
    standards(city, "CHK,m2,C-2,0.5,2025-06-01,2027-06-01")
    until = START + timedelta(days=14)
    city.connection.execute("update installation set during = tstzrange(null, %s) where meter_id = 2", (until,))
    city.connection.commit()
    [one] = found(city)
    assert one.comparison is not None
    assert to_micros(until) - 86_400_000_000 < one.comparison.end_us <= to_micros(until)
    assert one.comparison.error_pct == pytest.approx(1.5, abs=0.05)
    assert found(city, to_micros(until + timedelta(days=28, hours=1))) == []


def test_readings_that_were_not_followed_yet_do_not_count(city: City) -> None:
    standards(city, "CHK,m2,C-2,0.5,2025-06-01,2027-06-01")
    assert [reason.code for reason in found(city, seq=0)[0].reasons] == ["no_common_span"]


def test_a_site_test_is_weighted_by_the_loads_before_it(city: City) -> None:
    standards(city, "S1,,C-1,0.4,2025-06-01,2027-06-01")
    site_test(city, "m3,2026-01-29T10:00:00Z,S1,0.002,-9,0.8,a", "m3,2026-01-29T10:00:00Z,S1,0.05,1,0.8,a",
              "m3,2026-01-29T10:00:00Z,S1,1,1,0.8,a")  # fmt: skip
    [one] = found(city, ids=(3,))
    assert (one.meter_id, one.kind) == (3, "site_test")
    assert one.comparison is not None
    assert 0.7 < one.comparison.error_pct < 1.0  # little flows at small loads
    assert 0.4 < one.comparison.std_pct < 0.7
    assert found(city, to_micros(START + timedelta(days=28, hours=10)), ids=(3,)) == []  # made later
    [again] = found(city, ids=(3,), end_us=END_US + 170 * 86_400_000_000)
    assert again == one
    assert found(city, ids=(3,), end_us=END_US + 185 * 86_400_000_000) == []


def test_loads_are_at_the_meter_and_totals_behind_its_transformers(city: City) -> None:
    standards(city, "S1,,C-1,0.4,2025-06-01,2027-06-01")
    points = ("m3,2026-01-29T10:00:00Z,S1,0.003,-9,0.8,a", "m3,2026-01-29T10:00:00Z,S1,0.2,1,0.8,a")
    site_test(city, *points)
    [before] = found(city, ids=(3,))
    city.connection.execute("update installation set multiplier = 40 where meter_id = 3")
    city.connection.commit()
    [after] = found(city, ids=(3,))
    assert before.comparison is not None
    assert after.comparison is not None
    assert after.comparison.error_pct == pytest.approx(before.comparison.error_pct)


def test_a_test_before_any_consumption_or_with_an_expired_standard_says_so(city: City) -> None:
    standards(city, "S1,,C-1,0.4,2025-06-01,2026-01-20")
    site_test(city, "m3,2026-01-29T10:00:00Z,S1,0.5,1,0.8,a", "m3,2025-12-29T10:00:00Z,S1,0.5,1,0.8,a")
    codes = [[reason.code for reason in one.reasons] for one in found(city, ids=(3,))]
    assert codes == [["no_load_profile"], ["standard_expired"]]


def test_nothing_is_looked_for_where_there_is_nothing(city: City) -> None:
    assert found(city, ids=()) == []
    assert found(city, ids=(3,)) == []
