import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import cbor2
import numpy as np
import pytest

from metrology.errors import InvalidInputError
from metrology.status import ReadingStatus
from simulators.mapping import Mapping, load_mapping
from simulators.replay import ReplayPlan, load_replay

SWM = Path(__file__).parents[3] / "simulators/mappings/swm.toml"
HEADER = "user key;datetime;meter reading;diff\n"
LINES = [
    "a;30/10/2016 00:27:21;182944;0",
    "a;30/10/2016 01:27:21;182944;0",
    "a;30/10/2016 02:27:19;182951;7",
    "a;30/10/2016 02:27:21;182944;-7",
    "a;30/10/2016 02:27:19;182951;7",
    "a;30/10/2016 03:27:19;4e+05;0",
    "b;27/03/2016 02:30:00;5;0",
    "b;27/03/2016 03:30:00;-5;0",
    "b;27/03/2016 04:30:00;5.5;0",
    "b;27/03/2016 05:30:00;five;0",
    "b;31/03/2016 25:30:00;5;0",
    ";27/03/2016 06:30:00;6;0",
    "b;27/03/2016;6",
]


def plan_of(tmp_path: Path, lines: list[str], **options: object) -> ReplayPlan:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + "".join(line + "\n" for line in lines), encoding="utf-8")
    return load_replay(path, load_mapping(SWM), **options)


def decoded(plan: ReplayPlan) -> list[tuple[str, datetime, Decimal, int]]:
    """The plan's readings as a receiver would take them from the payloads."""
    out = []
    for message in plan.messages():
        assert message.topic == "mp/v1/alicante/replay/readings"
        is_json = message.payload.startswith(b"{")
        body = json.loads(message.payload) if is_json else cbor2.loads(message.payload)
        assert (body["v"], body["medium"], body["unit"]) == (1, "water", "m3")
        columns = [body["meter"], body["observed_at"], body["register"], body.get("status", 0)]
        rows = [c if isinstance(c, list) else [c] * message.readings for c in columns]
        for meter, time_ms, register, status in zip(*rows, strict=True):
            moment = datetime.fromtimestamp(time_ms / 1000, UTC)
            out.append((meter, moment, Decimal(str(register)), status))
    return out


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_every_line_is_sent_in_utc_or_rejected_with_its_reason(tmp_path: Path, encoding: str) -> None:
    plan = plan_of(tmp_path, LINES, encoding=encoding, readings_per_message=3)
    flag = int(ReadingStatus.TIME_AMBIGUOUS)
    clocks = ["29T22:27:21", "29T23:27:21", "30T01:27:19", "30T00:27:21", "30T01:27:19", "30T02:27:19"]
    night = [datetime.fromisoformat(f"2016-10-{clock}Z") for clock in clocks]
    values = ["182.944", "182.944", "182.951", "182.944", "182.951", "400"]
    flags = [0, 0, flag, flag, flag, 0]
    expected = [("a", t, Decimal(v), f) for t, v, f in zip(night, values, flags, strict=True)] + [
        ("b", datetime(2016, 3, 27, 1, 30, tzinfo=UTC), Decimal("-0.005"), 0),
        ("b", datetime(2016, 3, 27, 2, 30, tzinfo=UTC), Decimal("0.0055"), 0),
    ]
    assert decoded(plan) == expected
    assert plan.lines == len(LINES)
    assert [(r.line, r.column) for r in plan.rejects] == [
        (8, "datetime"), (11, "meter reading"), (12, "datetime"), (13, "user key"), (14, "")]  # fmt: skip
    assert "never was local time in Europe/Madrid" in plan.rejects[0].reason
    out = io.StringIO()
    plan.write_rejects(out)
    assert out.getvalue().splitlines()[2] == "11,meter reading,five,\"is no number in range, decimal sign '.'\""


def test_the_same_file_gives_the_same_bytes_and_each_message_its_own_name(tmp_path: Path) -> None:
    first, second = plan_of(tmp_path, LINES, readings_per_message=2), plan_of(tmp_path, LINES, readings_per_message=2)
    assert [m.payload for m in first.messages()] == [m.payload for m in second.messages()]
    names = [json.loads(m.payload)["id"] for m in first.messages()]
    assert len(set(names)) == len(names) == first.message_count
    assert [m.payload for m in first.messages(2)] == [m.payload for m in first.messages()][2:]
    assert np.bincount(first.message_no()).tolist() == [m.readings for m in first.messages()]


def test_block_size_does_not_matter(tmp_path: Path) -> None:
    whole, pieces = plan_of(tmp_path, LINES), plan_of(tmp_path, LINES, block_bytes=40)
    assert (whole.rows == pieces.rows).all()
    assert whole.rejects == pieces.rejects
    assert whole.serials == pieces.serials


def test_unit_and_status_columns_and_a_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("m|t|r|u|s\nA|2026-01-01T00:00:00Z|1,5|m3|2\nA|2026-01-01T01:00:00Z|1600|L|0\n"
                    "A|2026-01-01T02:00:00Z|2|kWh|0\nA|2026-01-01T03:00:00Z|2|m3|-1\n", encoding="utf-8")  # fmt: skip
    mapping = Mapping.model_validate(
        {"utility": "u", "medium": "water", "file": {"separator": "|", "decimal": ","},
         "columns": {"meter": "m", "observed_at": "t", "register": "r", "unit": "u", "status": "s"}}
    )  # fmt: skip
    plan = load_replay(path, mapping)
    assert plan.rows["register_micro"].tolist() == [1_500_000, 1_600_000]
    assert plan.rows["status"].tolist() == [2, 0]
    assert [(r.line, r.column, r.value) for r in plan.rejects] == [(4, "u", "kWh"), (5, "s", "-1")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('unit = "L"\n', "give either unit or columns.unit"),
        ('medium = "steam"', "medium.*steam"),
        ('zone = "Europe/Madird"', "time.*Europe/Madrid, UTC"),
        ('utility = "a/b"', "utility"),
        ("typo = 1", "typo"),
        ('format = "day first"', "time format"),
        ("utility =", "not valid TOML"),
    ],
)
def test_a_wrong_mapping_is_refused_with_place_and_remedy(tmp_path: Path, change: str, expected: str) -> None:
    text = SWM.read_text(encoding="utf-8")
    if change == 'unit = "L"\n':
        text = text.replace(change, "")
    elif (key := change.partition(" =")[0]) in ("typo",):
        text = change + "\n" + text
    else:
        text = "\n".join(change if line.startswith(f"{key} =") else line for line in text.splitlines())
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=expected):
        load_mapping(path)
    with pytest.raises(InvalidInputError, match="give the path"):
        load_mapping(tmp_path / "absent.toml")


def test_an_empty_file_is_an_empty_plan(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, [])
    assert (plan.lines, plan.message_count, list(plan.messages())) == (0, 0, [])


def test_the_year_of_real_water_meters(swm_file: Path) -> None:
    plan = load_replay(swm_file, load_mapping(SWM))
    assert plan.lines == len(plan.rows) == 674_019
    assert len(plan.serials) == 92
    assert plan.ambiguous_rows == 178
    rows = plan.rows
    order = np.lexsort((rows["line"], rows["observed_us"], rows["meter"]))
    rows = rows[order]
    same_meter = np.diff(rows["meter"]) == 0
    same_time = same_meter & (np.diff(rows["observed_us"]) == 0)
    # Of the 78 lines that repeat a meter's local time, 59 are the second pass of the repeated hour, 19 written twice.
    assert same_time.sum() == 19
    assert not np.diff(rows["register_micro"])[same_time].any()
    ambiguous = rows["status"] != 0
    assert not (np.diff(rows["register_micro"])[same_meter & ambiguous[1:] & ambiguous[:-1]] < 0).any()
