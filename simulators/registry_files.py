"""The city's registry as the two files that `meterproof import zones` and `import meters` take."""

import csv
from pathlib import Path
from typing import Any

from simulators.city import City


def write_registry(city: City, folder: Path) -> tuple[Path, Path]:
    """Writes `zones.csv` and `meters.csv` into the folder; zones are to be imported first."""
    folder.mkdir(parents=True, exist_ok=True)
    zones, meters = folder / "zones.csv", folder / "meters.csv"
    _write(zones, city.zones_rows())
    _write(meters, city.meters_rows())
    return zones, meters


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
