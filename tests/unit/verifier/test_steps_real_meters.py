"""A year of real water meters: every backward step is told with its readings, and no total is bent.

The file (`user key;datetime;meter reading;diff`, litres, local time) lies outside of the project; a small one of the
same shape, made for this test, is always there.
"""

import csv
import zipfile
from collections import Counter
from datetime import datetime
from functools import cache
from io import StringIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from step_cases import MemoryFollower, Outcome, check, meter

from store.readings import READING
from verifier.arrays import Structured
from verifier.settings import VerifierSettings

SPAIN = ZoneInfo("Europe/Madrid")


@cache
def _hour_us(text: str) -> int:
    """The hour that `dd/mm/yyyy HH` begins [us since 1970]; of the hour that occurs twice, the earlier."""
    return round(datetime.strptime(text, "%d/%m/%Y %H").replace(tzinfo=SPAIN).timestamp()) * 1_000_000


def parse(lines) -> tuple[Structured, list[str]]:
    """The distinct readings of the file, READING, meters numbered from 1 in the order of their keys; and the keys."""
    values = {
        (key, _hour_us(at[:13]) + (60 * int(at[14:16]) + int(at[17:19])) * 1_000_000, int(float(litres)))
        for key, at, litres, _ in islice(csv.reader(lines, delimiter=";"), 1, None)
    }
    keys = sorted({key for key, _, _ in values})
    number = {key: i for i, key in enumerate(keys, 1)}
    rows = np.zeros(len(values), dtype=READING)
    ordered = sorted(values)
    rows["meter_id"] = [number[key] for key, _, _ in ordered]
    rows["observed_us"] = [observed_us for _, observed_us, _ in ordered]
    rows["register_micro"] = [litres * 1000 for _, _, litres in ordered]
    return rows, keys


def assert_every_backward_step_is_told(rows: Structured, outcome: Outcome) -> int:
    """Returns how many there were."""
    evidence: dict[tuple[int, int], list[set[int]]] = {}
    course = outcome.checked.sequence
    times = course.points["observed_us"].tolist()
    meters = outcome.checked.placed.facts.meters["meter_id"][course.pos].tolist()
    for finding in outcome.findings:
        if finding.kind in ("gap", "stopped"):
            continue
        shown = {round(datetime.fromisoformat(item["observed_at"]).timestamp() * 1e6) for item in finding.evidence}
        for time_us in shown:
            evidence.setdefault((finding.meter_id, time_us), []).append(shown)
    back = np.flatnonzero(course.inner[1:] & (np.diff(course.points["register_micro"]) < 0)) + 1
    for row in back.tolist():
        around = evidence.get((meters[row], times[row]), [])
        assert any(times[row - 1] in shown for shown in around), (meters[row], times[row])
    return len(back)


def assert_totals_are_not_bent(rows: Structured, outcome: Outcome) -> None:
    """First and last readings of all these meters are sound, so each total is their difference."""
    for state in outcome.checked.states:
        own = rows[rows["meter_id"] == state["meter_id"]]
        ordered = own[np.argsort(own["observed_us"])]
        assert state["anchor"]["observed_us"] == ordered["observed_us"][-1]
        assert state["total_micro"] == ordered["register_micro"][-1] - ordered["register_micro"][0]


SMALL = """user key;datetime;meter reading;diff
aa;29/10/2016 20:15:00;1000;3
aa;29/10/2016 21:15:02;1020;20
aa;29/10/2016 21:16:40;249300;248280
aa;29/10/2016 22:15:00;1031;-248269
aa;29/10/2016 22:16:44;249420;248389
aa;29/10/2016 23:15:00;1040;-248380
aa;29/10/2016 23:15:00;1040;0
aa;30/10/2016 04:14:59;1040;0
aa;30/10/2016 05:15:00;1039;-1
aa;30/10/2016 06:15:00;1062;23
aa;30/10/2016 07:15:00;1050;-12
aa;30/10/2016 08:15:00;1062;12
aa;30/10/2016 09:15:00;1070;8
bb;29/10/2016 20:01:00;77000;0
bb;29/10/2016 21:01:00;64712;-12288
bb;29/10/2016 21:21:00;77004;12292
bb;29/10/2016 22:01:00;73928;-3076
bb;29/10/2016 22:31:00;77040;3112
bb;29/10/2016 23:01:00;77100;60
bb;29/10/2016 23:01:00;77090;-10
bb;30/10/2016 00:01:00;77120;30
bb;30/10/2016 01:01:00;77030;-90
bb;30/10/2016 02:31:00;77110;80
bb;30/10/2016 08:31:00;77150;40
bb;30/10/2016 09:31:00;77150;0
bb;30/10/2016 10:31:00;77151;1
"""


def test_a_small_file_of_the_same_shape():
    rows, _ = parse(StringIO(SMALL))
    outcome = check(rows, [meter(1), meter(2)])
    assert assert_every_backward_step_is_told(rows, outcome) == 7
    assert_totals_are_not_bent(rows, outcome)
    assert Counter((f.kind, f.severity) for f in outcome.findings) == {
        ("transient_glitch", "warning"): 4,  # two of 248 m3 up, -12.288 and -3.076 m3
        ("transient_glitch", "info"): 1,
        ("backward_step", "info"): 2,
        ("conflicting_values", "info"): 1,
        ("gap", "info"): 2,  # one of them across the hour that occurs twice
    }


def test_a_year_of_92_real_meters(swm_file: Path):
    with zipfile.ZipFile(swm_file) as archive, archive.open("swm_trialA.csv") as binary:
        rows, keys = parse(TextIOWrapper(binary, encoding="ascii"))
    records = [meter(number) for number in range(1, len(keys) + 1)]
    outcome = check(rows, records)
    assert len(keys) == 92
    # Conflicting values and the two readings of the hour that occurs twice leave this many of the file's 203.
    assert assert_every_backward_step_is_told(rows, outcome) == 203
    assert_totals_are_not_bent(rows, outcome)
    by_severity = Counter((f.kind, f.severity) for f in outcome.findings)
    assert by_severity["gap", "info"] == pytest.approx(13_777, abs=10)
    glitches = [f for f in outcome.of_kind("transient_glitch") if f.severity == "warning"]
    assert Counter(keys[f.meter_id - 1][:8] for f in glitches) == {"9348c9bb": 4, "1de2cf65": 2}
    assert all(f.detail["returned_after_s"] < 3600 for f in glitches)
    # An inspector sees these glitches and the meters that stood still for two weeks; nothing else of 14,000 findings.
    assert {kind for kind, severity in by_severity if severity != "info"} == {"transient_glitch", "stopped"}

    # The troubled meters once more, delivery by delivery, end the same.
    for number in (i for i, key in enumerate(keys, 1) if key[:8] in ("9348c9bb", "1de2cf65")):
        follower = MemoryFollower(records[number - 1], VerifierSettings())
        own = rows[rows["meter_id"] == number]
        for portion in np.array_split(own, 50):
            follower.deliver(portion)
        expected = [f for f in outcome.findings if f.meter_id == number]
        assert sorted(follower.in_force.values(), key=lambda f: f.key) == sorted(expected, key=lambda f: f.key)
