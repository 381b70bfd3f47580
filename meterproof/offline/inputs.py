"""Everything that an assessment of files reads, in the order in which faults are best told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from meterproof.offline.readings_file import FileReadings, ReadingOptions, read_readings
from meterproof.offline.side_files import Faults, SideZone, read_side
from meterproof.offline.site_tests import read_site_tests
from metrology.errors import InvalidInputError
from store.file_registry import REFUSED, USUAL_CLASS, FileRegistry, read_registry
from store.tables import read_table
from verifier.balance.types import Comparison, SideInformation
from verifier.inference import resolution_micro, usual_interval_s
from verifier.resistances import customers_in_order
from verifier.settings import VerifierSettings


@dataclass(frozen=True)
class Inputs:
    """What the files hold; `notes` say what was taken because they leave it open, for the summary."""

    registry: FileRegistry
    readings: FileReadings
    side: Mapping[int, SideInformation]
    site_tests: Sequence[Comparison]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Files:
    """The files that are given."""

    readings: Path
    meters: Path
    zones: Path | None = None
    side: Path | None = None
    site_tests: Path | None = None


def read_inputs(
    files: Files, options: ReadingOptions, settings: VerifierSettings, on_lines: Callable[[int], None]
) -> Inputs:
    """Reads the registry, what stands beside it, then the readings.

    Raises InvalidInputError naming file, place, value and remedy.
    """
    encoding = None if options.encoding == "utf-8" else options.encoding
    zone_table = None if files.zones is None else read_table(files.zones, encoding)
    registry = read_registry(
        read_table(files.meters, encoding),
        zone_table,
        time_zone=options.time_zone or "UTC",
        reference_uncertainty_pct=settings.balance.reference_uncertainty_pct,
    )
    meters = {meter.serial: meter for meter in registry.meters}
    tests: list[Comparison] = []
    if files.site_tests is not None:
        tests = read_site_tests(files.site_tests, meters, options.time_zone, encoding)
    side = {} if files.side is None else _read_side(files.side, registry, options.time_zone)
    held = read_readings(files.readings, meters, options, on_lines)
    if not held.lines:
        raise InvalidInputError(f"{files.readings}: holds no reading; expected a row for each below the columns' names")
    completed, notes = _completed(registry, held)
    return Inputs(completed, held, side, tests, notes)


def _read_side(folder: Path, registry: FileRegistry, time_zone: str) -> dict[int, SideInformation]:
    zones = [SideZone(z.zone_id, z.code, z.medium, len(customers_in_order(z))) for z in registry.zones]
    faults = Faults()
    side = read_side(folder, zones, time_zone, faults)
    faults.refuse_if_any(f"--side {folder}", REFUSED)
    return side


def _completed(registry: FileRegistry, held: FileReadings) -> tuple[FileRegistry, dict[str, str]]:
    """The registry with resolutions and intervals that the files leave open told from the readings, and the notes."""
    order = np.lexsort((held.rows["observed_us"], held.rows["meter_id"]))
    ids, starts = np.unique(held.rows["meter_id"][order], return_index=True)
    parts = dict(zip(ids.tolist(), np.split(order, starts[1:]) if ids.size else [], strict=True))
    registers, times = held.rows["register_micro"], held.rows["observed_us"]
    resolutions = {i: resolution_micro(registers[parts[i]]) for i in registry.no_resolution if i in parts}
    intervals, told = {}, []
    for zone in registry.zones:
        if zone.zone_id in registry.no_interval:
            members = {m.installation.meter_id for m in zone.members if m.installation.role != "check"}
            usual = usual_interval_s(times[parts[i]] for i in sorted(members) if i in parts)
            intervals[zone.zone_id] = usual or zone.interval_s
            told.append(f"{zone.code}: {intervals[zone.zone_id]} s")
    notes = {}
    if told:
        notes["interval told from the readings"] = _few(told)
    if registry.no_resolution:
        notes["resolution told from the readings"] = f"{len(registry.no_resolution)} meters"
    judged = {r.meter_id for r in registry.records if any(place.role == "customer" for place in r.installations)}
    for medium, usual_class in USUAL_CLASS.items():
        count = sum(registry.meters[i].medium == medium for i in registry.no_class & judged)
        if count:
            notes[f"accuracy class taken as {usual_class} ({medium})"] = f"{count} meters"
    return registry.completed(resolutions, intervals), notes


def _few(texts: list[str], shown: int = 5) -> str:
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
