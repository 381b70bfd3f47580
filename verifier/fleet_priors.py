"""The fleet's priors from the running system's data: each zone judged once more at its last day, then pooled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from metrology.quantities import Medium
from store.meter_priors import PriorRow, last_reports
from store.registry import load_installations, load_zone
from store.times import to_micros
from verifier.balance.fleet import Fleet
from verifier.balance.kinds_of_meters import MeterKind
from verifier.balance.pooling import pooled
from verifier.balance.types import ZoneLikelihood
from verifier.priors import first_installed, kind_of, pooled_source
from verifier.settings import VerifierSettings
from verifier.zone_assessor import ZoneAssessor, judged_days
from verifier.zone_findings import spoiling_findings
from verifier.zone_members import ZoneMeters, load_zone_meters

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class ZoneTold:
    """A zone at its last assessed day: its customers' kinds by meter_id, and what its data say of them.

    `wanting`: those there of which no own prior is stated.
    """

    zone_id: int
    medium: Medium
    kinds: dict[int, MeterKind]
    wanting: tuple[int, ...]
    likelihood: ZoneLikelihood | None


@dataclass(frozen=True)
class LearnedFleet:
    """The fleet of a medium, None where no zone tells of it; the place of each zone in it that told something."""

    medium: Medium
    fleet: Fleet | None
    zones: tuple[ZoneTold, ...]

    def priors(self, from_us: int) -> list[PriorRow]:
        """The customers' pooled priors, each made without the data of its own zone, for histories that end later."""
        out: list[PriorRow] = []
        place = 0
        for zone in self.zones:
            own = None if zone.likelihood is None else place
            place += zone.likelihood is not None
            for meter_id in zone.wanting:
                found = None if self.fleet is None else self.fleet.prior(zone.kinds[meter_id], own)
                if found is not None:
                    source = pooled_source(found)
                    out.append(PriorRow(meter_id, from_us, found.mean_pct, found.sd_pct, found.common_pct, source))
        return out


def learn(
    connection: Connection, settings: VerifierSettings, commit_seq: int, on_zone: Callable[[int, int], None]
) -> list[LearnedFleet]:
    """What all zones told of their meters, by medium; `on_zone` is told the zones done and how many there are.

    By the batches up to `commit_seq` and the findings in force. Nothing is written.
    """
    ends, told = last_reports(connection), []
    for number, zone_id in enumerate(sorted(ends), start=1):
        zone = load_zone_meters(connection, load_zone(connection, zone_id))
        told.append(_told(connection, zone, to_micros(ends[zone_id]), settings, commit_seq))
        on_zone(number, len(ends))
    return [_fleet(medium, told, settings) for medium in sorted({zone.medium for zone in told})]


def _told(
    connection: Connection, zone: ZoneMeters, end_us: int, settings: VerifierSettings, commit_seq: int
) -> ZoneTold:
    spoiling = spoiling_findings(connection, zone)
    given = list(ZoneAssessor(settings).inputs(connection, zone, [end_us], spoiling, commit_seq))
    days = list(judged_days(zone, given[0], settings)) if given else []
    likelihood = days[-1].likelihood if days else None
    there = [m.installation.meter_id for m in zone.present(end_us) if m.zone_id == zone.zone.zone_id
           and m.installation.role == "customer"]  # fmt: skip
    ids = sorted({*there, *(likelihood.meter_ids if likelihood else ())})
    since = first_installed(_starts(connection, ids))
    kinds = {i: kind_of(zone.meters[i], since.get(i), end_us) for i in ids}
    wanting = tuple(i for i in sorted(there) if zone.meters[i].prior_sd_pct is None)
    return ZoneTold(zone.zone.zone_id, Medium(zone.zone.medium), kinds, wanting, likelihood)


def _starts(connection: Connection, meter_ids: Sequence[int]) -> dict[int, list[int | None]]:
    starts: dict[int, list[int | None]] = {}
    for place in load_installations(connection, meter_ids):
        starts.setdefault(place.meter_id, []).append(place.start_us)
    return starts


def _fleet(medium: Medium, told: Sequence[ZoneTold], settings: VerifierSettings) -> LearnedFleet:
    zones = tuple(zone for zone in told if zone.medium is medium)
    kinds = {i: kind for zone in zones for i, kind in zone.kinds.items()}
    likelihoods = [zone.likelihood for zone in zones if zone.likelihood is not None]
    scale_pct = settings.balance.prior_sd_pct(medium)
    return LearnedFleet(medium, pooled(likelihoods, kinds, scale_pct, settings.balance), zones)
