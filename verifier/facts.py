"""The registry's facts about meters joined with the settings' limits, as the arrays that the checks take."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from store.meter_facts import InstallationFacts, MeterRecord
from verifier.arrays import FOREVER_US, METER, NEVER_US, STRETCH, MeterFacts
from verifier.settings import VerifierSettings

_ALGORITHM: Final = 1  # raised when the checks conclude otherwise from the same readings: states are then made anew
_MICRO: Final = 1_000_000
_US_PER_HOUR: Final = 3_600 * 1_000_000


@dataclass(frozen=True, slots=True)
class OneMeter:
    """One meter's share of a MeterFacts."""

    meter: tuple[Any, ...]
    stretches: list[tuple[Any, ...]]
    notes: list[Mapping[str, Any]]
    medium: str


def one_meter(record: MeterRecord, settings: VerifierSettings) -> OneMeter:
    """The facts about one meter."""
    steps, limits = settings.steps, getattr(settings, record.medium)
    stretches, notes = _stretches(record, settings)
    noise_micro = round(steps.noise_resolutions * record.resolution_micro)
    digest = _digest(record, settings, stretches, notes)
    meter = (
        record.meter_id,
        record.resolution_micro,
        record.register_modulus_micro or 0,
        noise_micro,
        round(limits.stopped_s * 1e6),
        digest,
    )
    return OneMeter(meter, stretches, notes, record.medium)


def join(parts: Sequence[OneMeter]) -> MeterFacts:
    """The facts about many meters, in their order."""
    counts = [len(part.stretches) for part in parts]
    return MeterFacts(
        meters=np.array([part.meter for part in parts], dtype=METER),
        stretches=np.array([stretch for part in parts for stretch in part.stretches], dtype=STRETCH),
        first_stretch=np.concatenate([[0], np.cumsum(counts)]).astype(np.intp),
        notes=[note for part in parts for note in part.notes],
        media=[part.medium for part in parts],
    )


def max_rate_per_hour(record: MeterRecord, role: str, settings: VerifierSettings) -> float:
    """The highest plausible rate [kW or m3/h]: the meter's own, its model's, or that of its medium and role."""
    own = settings.max_rate_by_meter.get(f"{record.utility}/{record.serial}")
    if own is None and record.model:
        own = settings.max_rate_by_model.get(record.model)
    if own is not None:
        return own
    limits = getattr(settings, record.medium)
    unit = "kw" if record.medium == "electricity" else "m3ph"
    name = f"max_rate_reference_{unit}" if role == "reference" else f"max_rate_{unit}"
    return float(getattr(limits, name))


def _stretches(
    record: MeterRecord, settings: VerifierSettings
) -> tuple[list[tuple[Any, ...]], list[Mapping[str, Any]]]:
    rows: list[tuple[Any, ...]] = []
    notes: list[Mapping[str, Any]] = []
    if not record.installations:
        # Nothing is known of its place: take the register as it is rather than leave it unchecked.
        return [_stretch(record, settings, NEVER_US, FOREVER_US, None, installed=True)], [{}]
    end_us = NEVER_US
    for place in record.installations:
        start_us = NEVER_US if place.start_us is None else place.start_us
        if start_us > end_us:
            rows.append(_stretch(record, settings, end_us, start_us, None, installed=False))
            notes.append({})
        end_us = FOREVER_US if place.end_us is None else place.end_us
        rows.append(_stretch(record, settings, start_us, end_us, place, installed=True))
        notes.append(_note(place))
    if end_us < FOREVER_US:
        rows.append(_stretch(record, settings, end_us, FOREVER_US, None, installed=False))
        notes.append({})
    return rows, notes


def _stretch(
    record: MeterRecord,
    settings: VerifierSettings,
    start_us: int,
    end_us: int,
    place: InstallationFacts | None,
    *,
    installed: bool,
) -> tuple[Any, ...]:
    multiplier = place.multiplier if place else 1.0
    limits = getattr(settings, record.medium)
    large_step = limits.large_step_kwh if record.medium == "electricity" else limits.large_step_m3
    rate = max_rate_per_hour(record, place.role if place else "customer", settings)
    start, end = (place.start_register_micro, place.end_register_micro) if place else (None, None)
    follows = place is not None and (place.predecessor_serial is not None or place is not record.installations[0])
    return (
        start_us,
        end_us,
        installed,
        multiplier,
        rate * _MICRO / multiplier / _US_PER_HOUR,
        round(large_step * _MICRO / multiplier),
        start is not None,
        end is not None,
        follows,
        start or 0,
        end or 0,
    )


def _note(place: InstallationFacts) -> Mapping[str, Any]:
    note: dict[str, Any] = {"service_point": place.service_point}
    if place.predecessor_serial is not None:
        note["predecessor_serial"] = place.predecessor_serial
        if place.predecessor_end_register_micro is not None:
            note["predecessor_end_register_micro"] = place.predecessor_end_register_micro
    return note


def _digest(record: MeterRecord, settings: VerifierSettings, stretches: Sequence[Any], notes: Sequence[Any]) -> int:
    content = (
        _ALGORITHM,
        record.resolution_micro,
        record.register_modulus_micro,
        settings.steps,
        getattr(settings, record.medium),
        stretches,
        [sorted(note.items()) for note in notes],
    )
    return int.from_bytes(hashlib.blake2b(repr(content).encode(), digest_size=8).digest(), "little", signed=True)
