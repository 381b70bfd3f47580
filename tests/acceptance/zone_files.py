"""Small simulated zones as the files that `meterproof assess` takes, and the command as a process of its own."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulators.city import City
from simulators.registry_files import write_registry
from simulators.scenario import Defects, Faults, MediumScenario, Scenario

START = datetime(2026, 1, 5, tzinfo=UTC)


def electricity_city(seed: int = 5, days: int = 14, zones: int = 1, customers: int = 8, **faults: int) -> City:
    plan = MediumScenario(
        zones=zones,
        customers_per_zone=(customers, customers),
        interval_s=900,
        resolution=Decimal("0.001"),
        accuracy_class="A",
        mpe_pct=3.5,
        healthy_sd_pct=0.6,
        reference_sd_pct=0.3,
        fault_pct=(9.0, 12.0),
        clock_ahead_s=5.0,
        faults=Faults(**faults),
        defects=Defects(missing_share=0.0005, glitches=1),
    )
    return City(Scenario(name="files", utility="u", seed=seed, start=START, days=days, electricity=plan))


def reading_rows(city: City) -> list[dict[str, Any]]:
    """The readings as rows: meter, observed_at (text with Z), register (exact text in kWh)."""
    held, serials = city.readings(city.scenario.start, city.scenario.end), city.serials
    times = np.datetime_as_string(held["observed_us"].astype("datetime64[us]").astype("datetime64[s]"))
    registers = [f"{micro // 10**6}.{micro % 10**6 // 1000:03d}" for micro in held["register_micro"].tolist()]
    return [
        {"meter": serials[meter], "observed_at": f"{time}Z", "register": register}
        for meter, time, register in zip(held["meter"], times, registers, strict=True)
    ]


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def write_city(city: City, folder: Path) -> None:
    """`meters.csv`, `zones.csv` and `readings.csv` in the folder."""
    write_registry(city, folder)
    write_csv(folder / "readings.csv", reading_rows(city))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def run(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    return subprocess.run(
        [sys.executable, "-m", "meterproof", *map(str, arguments)],
        cwd=cwd,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def assess(folder: Path, *arguments: str | Path, readings: str = "readings.csv", out: str = "out.csv") -> Any:
    given = ("--readings", readings, "--meters", "meters.csv", "--out", out)
    return run("assess", *given, *arguments, cwd=folder)
