from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metrology.errors import InvalidInputError
from simulators.city import City
from simulators.scenario import load_scenario
from simulators.score import score
from simulators.truth import TruthItem, TruthLedger, read_ledger

TINY = load_scenario(Path(__file__).parents[3] / "simulators/scenarios/tiny.toml")
LEDGER = City(TINY).truth()
HOUR = timedelta(hours=1)


def item(kind: str) -> TruthItem:
    return next(entry for entry in LEDGER.items if entry.kind == kind)


def alert(kind: str, of: TruthItem | None, **changes: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": kind, "utility": TINY.utility, "meter": of and of.meter, "zone": of and of.zone,
                             "starts_at": (of.begins_at if of else TINY.start), "opened_at": TINY.end,
                             "state": "open"}  # fmt: skip
    return entry | changes


def test_the_ledger_tells_every_fault_and_true_errors() -> None:
    kinds = sorted(entry.kind for entry in LEDGER.items if entry.medium == "electricity")
    assert kinds == sorted(["drifting", "stepped", "stopped", "reversed", "reset", "swapped", "exchanged", "rollover",
                            "gap", "glitch", "repeat", "repeat", "conflict"])  # fmt: skip
    drift, step = item("drifting"), item("stepped")
    assert drift.alert_expected
    assert 5 < abs(drift.error_pct) < 11
    assert (
        (6 <= abs(step.magnitude_pct) <= 9) if step.medium == "electricity" else (10 <= abs(step.magnitude_pct) <= 14)
    )
    assert item("stopped").error_pct == -100.0
    assert {entry.kind for entry in LEDGER.items if not entry.alert_expected} == {
        "exchanged", "rollover", "gap", "glitch", "repeat", "conflict"}  # fmt: skip
    assert set(LEDGER.errors_pct) == set(City(TINY).serials)


def test_errors_in_the_ledger_are_those_of_the_data() -> None:
    """The step of a meter's error, taken from its registers and the true use alone."""
    city, step = City(TINY), item("stepped")
    number = 0 if step.medium == "electricity" else 1
    registers, device = city.registers[number], city.serials.index(step.meter) - city.first_meter[number]
    days = range(registers.first_day + 7, registers.first_day + 10)
    shown = registers.day(days[-1]).register_micro[-1, device] - registers.day(days[0] - 1).register_micro[-1, device]
    used = sum(registers.true_day(day).customers[:, device].sum() for day in days)
    assert (shown / 1e6 / used - 1) * 100 == pytest.approx(step.error_pct, abs=0.05)


def test_faults_that_have_not_begun_are_not_in_the_ledger() -> None:
    early = City(TINY).truth(TINY.start + HOUR)
    assert {entry.kind for entry in early.items} <= {"rollover"}
    step = item("stepped")
    assert abs(early.errors_pct[step.meter]) < step.mpe_pct


def test_a_ledger_survives_its_file(tmp_path: Path) -> None:
    LEDGER.write(tmp_path / "truth.json")
    assert read_ledger(tmp_path / "truth.json") == LEDGER
    (tmp_path / "bad.json").write_text('{"format": 1, "items": []}')
    with pytest.raises(InvalidInputError, match=r"bad\.json is no truth ledger"):
        read_ledger(tmp_path / "bad.json")
    with pytest.raises(InvalidInputError, match="No such file"):
        read_ledger(tmp_path / "absent.json")


def test_perfect_alerts_score_one() -> None:
    wanted = [entry for entry in LEDGER.items if entry.alert_expected]
    result = score([alert(entry.alert_kinds[0], entry) for entry in wanted], LEDGER)
    assert (result.precision, result.recall, result.misses, result.false_alarms) == (1.0, 1.0, (), ())
    assert result.hits == result.expected == len(wanted)
    assert result.median_delay_h == 0.0
    assert {kind: s.recall for kind, s in result.by_fault.items()} == dict.fromkeys({e.kind for e in wanted}, 1.0)


def test_hits_misses_false_alarms_and_what_does_not_count() -> None:
    stopped, step, gap, reset = item("stopped"), item("stepped"), item("gap"), item("reset")
    healthy = next(s for s in LEDGER.errors_pct if all(e.meter != s for e in LEDGER.items))
    alerts = [
        alert("stopped", stopped, starts_at=stopped.begins_at + 2 * HOUR),
        alert("stopped", stopped, starts_at=stopped.begins_at + 5 * HOUR, state="dismissed"),
        alert("error_beyond_mpe", step, starts_at=TINY.start),  # a window that began before the step
        alert("gap", gap),  # true, but nobody had to hear of it
        alert("gap", gap, starts_at=gap.begins_at + 100 * HOUR),  # another time: false
        alert("reset", reset, starts_at=reset.begins_at - 3 * HOUR),  # before it happened: false
        alert("error_beyond_mpe", None, meter=healthy),  # false
        alert("stopped", reset),  # the wrong kind: false
        alert("zone_imbalance", None, zone=stopped.zone),  # harmless: the zone has faulty meters
        alert("zone_imbalance", None, zone="EZ999"),  # false
        alert("error_beyond_mpe", None, meter=healthy, state="withdrawn"),
        alert("error_beyond_mpe", None, meter=healthy, utility="elsewhere"),
    ]
    result = score(alerts, LEDGER)
    assert (result.alerts, result.withdrawn, result.right, result.harmless) == (11, 1, 3, 2)
    assert len(result.false_alarms) == 5
    assert result.hits == 2
    assert result.precision == 3 / 8
    assert result.recall == 2 / result.expected
    assert {m.kind for m in result.misses} >= {"drifting", "reversed", "reset", "swapped"}
    assert result.by_fault["stopped"].median_delay_h == 2.0
    assert result.by_alert_kind["gap"] == {"right": 0, "harmless": 1, "false": 1}
    plain = result.as_dict()
    assert plain["false_alarms"][0]["starts_at"].startswith("2026-03-")
    assert plain["misses"][0]["kind"]


def test_the_delay_is_counted_to_the_data_that_showed_it() -> None:
    drift = item("drifting")
    entry = alert("error_beyond_mpe", drift, starts_at=TINY.start)
    seen = {("error_beyond_mpe", drift.meter): drift.begins_at + 48 * HOUR}
    assert score([entry], LEDGER, detected_at=seen).by_fault["drifting"].median_delay_h == 48.0
    too_early = {("error_beyond_mpe", drift.meter): drift.begins_at - HOUR}
    assert score([entry], LEDGER, detected_at=too_early).hits == 0


def test_agreement_with_counting_one_by_one() -> None:
    """Random alerts: every alert has one verdict, every expected fault is a hit or a miss."""
    rng = np.random.default_rng(5)
    kinds = sorted({kind for entry in LEDGER.items for kind in entry.alert_kinds})
    alerts = []
    for _ in range(200):
        entry = LEDGER.items[rng.integers(len(LEDGER.items))]
        shift = timedelta(hours=float(rng.normal(0, 20)))
        alerts.append(alert(str(rng.choice(kinds)), entry, starts_at=entry.begins_at + shift))
    result = score(alerts, LEDGER)
    assert result.right + result.harmless + len(result.false_alarms) == 200
    assert result.hits + len(result.misses) == result.expected
    assert sum(s.hits for s in result.by_fault.values()) == result.hits


def test_nothing_to_find_has_no_recall_and_bad_alerts_are_named() -> None:
    empty = TruthLedger("x", TINY.utility, 1, TINY.end, ())
    result = score([], empty)
    assert (result.precision, result.recall, result.median_delay_h) == (None, None, None)
    with pytest.raises(InvalidInputError, match="starts_at"):
        score([{"kind": "gap", "utility": "u", "state": "open", "opened_at": TINY.end}], empty)
    with pytest.raises(InvalidInputError, match="offset"):
        score([alert("gap", None, starts_at="2026-01-01T00:00:00")], empty)
