"""The meters of a zone as series of accepted totals, from the registry and the readings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg

from metrology.errors import MeterproofError
from metrology.quantities import MICRO, Medium
from store.assessments import child_zones, expired_standards
from store.meter_facts import load_meter_records
from store.meter_priors import load_meter_priors
from store.readings import read_conflicts, read_meter_readings
from store.registry import Meter, Zone, ZoneMember, load_meters
from store.times import to_datetime
from verifier.accepted import Series, accepted_totals
from verifier.balance.types import MemberSeries
from verifier.limits import running_limit_pct
from verifier.priors import MeterPrior, prior_at
from verifier.resume import followed_and_placeable
from verifier.settings import VerifierSettings

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class ZoneMeters:
    """Who takes part in a zone's balance, over all time: its own members and the references of the zones inside.

    `priors`: the meters' pooled priors by meter_id, ascending by when they come into force.
    """

    zone: Zone
    members: tuple[ZoneMember, ...]
    meters: Mapping[int, Meter]
    priors: Mapping[int, Sequence[MeterPrior]] = field(default_factory=dict)

    def prior(self, meter_id: int, end_us: int, settings: VerifierSettings) -> MeterPrior:
        """What is believed of a meter in a history that ends at `end_us`, before its data."""
        return prior_at(self.meters[meter_id], self.priors.get(meter_id, ()), end_us, settings.balance)

    def present(self, end_us: int) -> list[ZoneMember]:
        """The members installed just before `end_us`."""
        return [m for m in self.members if _start(m) < end_us <= _end(m)]

    def within(self, start_us: int, end_us: int) -> list[ZoneMember]:
        """The members that were installed at any time in [start, end)."""
        return [m for m in self.members if _start(m) < end_us and _end(m) > start_us]


def load_zone_meters(connection: Connection, zone: Zone) -> ZoneMeters:
    """The zone's participants, see `zone_meters`."""
    members = taking_part(zone, child_zones(connection, zone.zone_id))
    ids = sorted({m.installation.meter_id for m in members})
    priors: dict[int, list[MeterPrior]] = {}
    for row in load_meter_priors(connection, ids):
        prior = MeterPrior(row.mean_pct, row.sd_pct, row.common_pct, row.source, row.from_us)
        priors.setdefault(row.meter_id, []).append(prior)
    return replace(zone_meters(zone, members, load_meters(connection, ids)), priors=priors)


def taking_part(zone: Zone, children: Collection[int]) -> tuple[ZoneMember, ...]:
    """The zone's own customers and references, and the references of its `children`, the zones directly inside. Pure.

    Check meters are left out: they measure what another meter measures already.
    """
    return tuple(
        m
        for m in zone.members
        if (m.zone_id == zone.zone_id and m.installation.role in ("customer", "reference"))
        or (m.zone_id in children and m.installation.role == "reference")
    )


def zone_meters(zone: Zone, members: Sequence[ZoneMember], meters: Sequence[Meter]) -> ZoneMeters:
    """The members whose meters measure the zone's medium. Pure."""
    right = {meter.meter_id: meter for meter in meters if meter.medium == zone.medium}
    return ZoneMeters(zone, tuple(m for m in members if m.installation.meter_id in right), right)


def load_series(
    connection: Connection, zone: ZoneMeters, start_us: int, end_us: int, last_seq: int, settings: VerifierSettings
) -> Series:
    """Each meter's times and accepted cumulative totals [base unit, after multipliers] in [start_us, end_us).

    Of the batches up to `last_seq`; readings whose time can't be believed are left out, as in the checks on steps.
    """
    ids = sorted(zone.meters)
    stored = read_meter_readings(connection, ids, start_us, end_us)
    held = np.concatenate([stored, read_conflicts(connection, ids, start_us, end_us)])
    held = followed_and_placeable(connection, held, last_seq, settings.steps)
    return accepted_totals(held, load_meter_records(connection, ids), settings)


def member_series(
    zone: ZoneMeters, start_us: int, end_us: int, series: Series, settings: VerifierSettings
) -> list[MemberSeries]:
    """Those who took part in [start, end) with their series, priors and limits, as the balance takes them.

    A meter that left and came back stands there twice, each time for its own span.
    """
    out = []
    for member in _stays(zone.within(start_us, end_us)):
        place = member.installation
        meter = zone.meters[place.meter_id]
        observed_us, total = series.get(place.meter_id, (np.empty(0, np.int64), np.empty(0)))
        prior = zone.prior(place.meter_id, end_us, settings)
        own_reference = member.zone_id == zone.zone.zone_id and place.role == "reference"
        one = MemberSeries(
            meter_id=place.meter_id,
            is_reference=own_reference,
            sign=_sign(member),
            observed_us=observed_us,
            total=total,
            resolution=meter.resolution_micro * float(place.multiplier) / MICRO,
            prior_sd_pct=prior.sd_pct,
            mpe_pct=None,
            installed_us=member.start_us,
            removed_us=member.end_us,
            prior_mean_pct=prior.mean_pct,
            phase=int(place.phase),
            prior_common_pct=prior.common_pct,
            prior_source=prior.source,
            unpooled_sd_pct=None if prior.common_pct is None else settings.balance.prior_sd_pct(Medium(meter.medium)),
        )
        if own_reference:
            out.append(one)
        elif place.role == "reference":
            # How the losses part between it and the customers beside it is not known well enough to judge it.
            why = "the reference of a zone inside takes part but is not judged here"
            out.append(replace(one, passes_on=True, no_limit=why))
        else:
            out.append(_with_limit(one, meter, settings))
    return out


def _stays(members: Sequence[ZoneMember]) -> list[ZoneMember]:
    """The members, those of a meter joined that follow each other without a pause in the same part."""
    out: list[ZoneMember] = []
    for member in sorted(members, key=lambda m: (m.installation.meter_id, _start(m))):
        before = out[-1] if out else None
        if before is not None and _part(before) == _part(member) and _end(before) == _start(member):
            out[-1] = replace(member, start_us=before.start_us)
        else:
            out.append(member)
    return out


def _part(member: ZoneMember) -> tuple[int, int, str, int]:
    return member.installation.meter_id, member.zone_id, member.installation.role, _sign(member)


def _sign(member: ZoneMember) -> int:
    return -1 if member.installation.direction == "export" else 1


def reference_faults(
    connection: Connection, zone_id: int, present: Sequence[ZoneMember], end_us: int
) -> dict[int, tuple[str, ...]]:
    """The zone's own reference meters whose certificates are all expired at the window's end.

    A reference of a zone inside is here judged like a customer: its certificate matters to its own zone.
    """
    ids = [m.installation.meter_id for m in present if m.installation.role == "reference" and m.zone_id == zone_id]
    last_day = (to_datetime(end_us) - timedelta(microseconds=1)).date()
    expired = expired_standards(connection, ids, last_day)
    return {meter_id: (f"reference expired: {certificate}",) for meter_id, certificate in expired.items()}


def _with_limit(one: MemberSeries, meter: Meter, settings: VerifierSettings) -> MemberSeries:
    if meter.mpe_pct is not None:
        return replace(one, mpe_pct=meter.mpe_pct)
    medium = Medium(meter.medium)
    try:
        limit = running_limit_pct(settings.balance.regulation(medium), medium, meter.accuracy_class)
    except MeterproofError as error:
        return replace(one, no_limit=f"{error}; or set mpe_pct for this meter")
    return replace(one, mpe_pct=limit)


def _start(member: ZoneMember) -> int:
    return -(2**62) if member.start_us is None else member.start_us


def _end(member: ZoneMember) -> int:
    return 2**62 if member.end_us is None else member.end_us
