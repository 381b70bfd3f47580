"""A zone of a few meters whose true use is known, as files; and the outcomes that come of them, in this process."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meterproof.offline.inputs import Files, Inputs, read_inputs
from meterproof.offline.readings_file import ReadingOptions
from verifier.accepted import step_results
from verifier.offline import MeterVerdict, judge_zone, zone_files
from verifier.settings import VerifierSettings

START = datetime(2026, 1, 5, tzinfo=UTC)
SETTINGS = VerifierSettings()
Floats = NDArray[np.float64]


def use_kwh(seed: int, days: int, meters: int) -> Floats:
    """True use in each quarter of an hour, shape (96 * days, meters): lumpy, as dwellings are."""
    rng = np.random.default_rng(seed)
    return rng.lognormal(-2.5, 0.5, meters) * (0.2 + np.exp(rng.normal(0, 1.0, (96 * days, meters))))


def registers(quantity: Floats, error_pct: float = 0.0, start: float = 100.0) -> Floats:
    """The register at the quarters' ends, the first at the beginning, in steps of 1 Wh."""
    total = np.concatenate([[0.0], np.cumsum(quantity * (1 + error_pct / 100))])
    return np.round(np.floor((start + total) * 1000) / 1000, 3)


def reading_rows(series: Mapping[str, Floats], first: Mapping[str, int] | None = None) -> list[dict[str, Any]]:
    """Rows of a readings file; `first` is the quarter at which a meter's series begins, 0 otherwise."""
    rows = []
    for meter, values in series.items():
        for i, value in enumerate(values, (first or {}).get(meter, 0)):
            time = START + timedelta(minutes=15 * i)
            rows.append({"meter": meter, "observed_at": f"{time:%Y-%m-%dT%H:%M:%SZ}", "register": f"{value:.3f}"})
    return rows


def meter_row(meter: str, role: str = "customer", zone: str = "Z", **other: str) -> dict[str, str]:
    return {"meter": meter, "zone": zone, "role": role, "medium": "electricity", "mpe_pct": "3.5", **other}


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_files(folder: Path, options: ReadingOptions | None = None, **files: Path) -> Inputs:
    given = Files(folder / "readings.csv", folder / "meters.csv", **files)
    return read_inputs(given, options or ReadingOptions(), SETTINGS, lambda _: None)


def judge_files(folder: Path, **files: Path) -> dict[tuple[str, str], MeterVerdict]:
    """The verdicts by zone and meter."""
    given = read_files(folder, **files)
    steps = step_results(given.readings.rows, given.registry.records, SETTINGS)
    zones = [judge_zone(zone, SETTINGS) for zone in zone_files(given.registry, steps, given.side, given.site_tests)]
    return {(one.zone.code, meter.meter.serial): meter for one in zones for meter in one.meters}


def judge(
    folder: Path,
    meters: Sequence[Mapping[str, str]],
    series: Mapping[str, Floats],
    first: Mapping[str, int] | None = None,
    **files: Path,
) -> dict[tuple[str, str], MeterVerdict]:
    write_csv(folder / "meters.csv", meters)
    write_csv(folder / "readings.csv", reading_rows(series, first))
    return judge_files(folder, **files)
