"""A case as files, by the contract for files of readings, meters and zones; the truth beside them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from metrology.quantities import MICRO, Medium
from zones.case import ZoneCase

UNITS = {Medium.ELECTRICITY: "kWh", Medium.WATER: "m3", Medium.GAS: "m3"}
METER_COLUMNS = (
    "meter", "service_point", "zone", "role", "medium", "unit", "resolution", "multiplier", "phase", "direction",
    "mpe_pct", "prior_sd_pct",
)  # fmt: skip
TRUTH_COLUMNS = ("meter", "day", "error_pct", "true_use", "fault", "fault_begins_at", "leaves_limit_at")


def write_case(case: ZoneCase, folder: Path) -> None:
    """readings.parquet, meters.csv, zones.csv, truth.csv and side/ZONE/ with what is known of the zone."""
    folder.mkdir(parents=True, exist_ok=True)
    _readings(case, folder / "readings.parquet")
    _table(folder / "meters.csv", METER_COLUMNS, _meter_rows(case))
    uncertainty = f"{case.reference_uncertainty_pct:g}"
    zone = (case.name, case.medium, "", case.interval_s, uncertainty)
    _table(folder / "zones.csv", ("zone", "medium", "parent", "interval_s", "reference_uncertainty_pct"), [zone])
    _table(folder / "truth.csv", TRUTH_COLUMNS, _truth_rows(case))
    _side(case, folder / "side" / case.name)


def _readings(case: ZoneCase, path: Path) -> None:
    places = np.repeat(np.arange(len(case.meters)), [times.size for times in case.observed_us])
    meters = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), [m.serial for m in case.meters])
    times = pa.array(np.concatenate(case.observed_us), pa.timestamp("us", tz="UTC"))
    registers = pa.array(np.concatenate(case.register_micro) / MICRO)
    table = pa.table({"meter": meters.cast(pa.string()), "observed_at": times, "register": registers})
    pq.write_table(table, path, compression="zstd")


def _meter_rows(case: ZoneCase) -> Iterable[Sequence[object]]:
    for i, meter in enumerate(case.meters):
        mpe = "" if meter.mpe_pct is None else f"{meter.mpe_pct:g}"
        yield (
            meter.serial, f"SP-{i:03d}", case.name, meter.role, case.medium, UNITS[case.medium],
            f"{meter.resolution:g}", f"{meter.multiplier:g}", meter.phase, meter.direction, mpe,
            f"{meter.prior_sd_pct:g}",
        )  # fmt: skip


def _truth_rows(case: ZoneCase) -> Iterable[Sequence[object]]:
    faults = {fault.serial: fault for fault in case.truth.faults}
    days = case.truth.days_us.astype("datetime64[us]")
    for row, place in enumerate(case.customers):
        serial = case.meters[place].serial
        fault = faults.get(serial)
        told = (fault.kind, _iso(fault.begins_us), _iso(fault.leaves_limit_us)) if fault else ("", "", "")
        for day, error, use in zip(days, case.truth.error_pct[row], case.truth.true_use[row], strict=True):
            yield (serial, str(day)[:10], f"{error:.5f}", f"{use:.6f}", *told)


def _iso(time_us: int | None) -> str:
    return "" if time_us is None else f"{np.datetime64(time_us, 'us').astype('datetime64[s]')}Z"


def _side(case: ZoneCase, folder: Path) -> None:
    side = case.side
    if side.resistance_ohm is not None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "resistance_ohm.npy", side.resistance_ohm)
    known = {
        name: values
        for name in ("pressure_m", "temperature_degc", "atmospheric_hpa")
        if (values := getattr(side, name)) is not None
    }
    if side.conditions_us is not None and known:
        folder.mkdir(parents=True, exist_ok=True)
        times = [_iso(int(t)) for t in side.conditions_us]
        columns = [[f"{v:.4f}" for v in values] for values in known.values()]
        _table(folder / "conditions.csv", ("observed_at", *known), zip(times, *columns, strict=True))


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
