"""The pooled priors of meters of files: from a first judgement of all zones to the zones judged again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metrology.quantities import Medium
from store.file_registry import FileRegistry
from verifier.balance.fleet import Fleet
from verifier.balance.kinds_of_meters import MeterKind
from verifier.balance.pooling import pooled
from verifier.balance.types import ZoneDay
from verifier.balance_settings import BalanceSettings
from verifier.offline import ZoneVerdict
from verifier.offline_days import ZoneFile
from verifier.priors import MeterPrior, first_installed, kind_of, of_pool


@dataclass(frozen=True)
class MediumFleet:
    """What all zones of a medium told of their meters; `fleet` is None where they told nothing."""

    medium: Medium
    fleet: Fleet | None


def pooled_zones(
    judged: Sequence[ZoneVerdict], registry: FileRegistry, settings: BalanceSettings
) -> tuple[list[ZoneFile], list[MediumFleet]]:
    """The zones with their meters' pooled priors, each made without the zone itself, and the fleets of their media.

    From each zone's last day, if it was understood. Meters with a stated `prior_sd_pct` keep that.
    """
    since_us = first_installed({r.meter_id: [place.start_us for place in r.installations] for r in registry.records})
    zones, fleets = [one.given for one in judged], []
    for medium in sorted({Medium(one.zone.medium) for one in judged}):
        mine = [place for place, one in enumerate(judged) if one.zone.medium == medium]
        days = {place: day for place in mine if (day := _last_day(judged[place])) is not None}
        told = {place: day.likelihood for place, day in days.items() if day.likelihood is not None}
        kinds = {
            meter.meter_id: kind_of(meter, since_us[meter.meter_id], days[place].end_us)
            for place in days
            for meter in judged[place].given.zone.meters.values()
        }
        fleet = pooled(list(told.values()), kinds, settings.prior_sd_pct(medium), settings)
        fleets.append(MediumFleet(medium, fleet))
        if fleet is not None:
            at = {place: i for i, place in enumerate(told)}
            for place in days:
                zones[place] = _with_priors(zones[place], fleet, kinds, at.get(place))
    return zones, fleets


def _last_day(judged: ZoneVerdict) -> ZoneDay | None:
    return max(judged.last_days.values(), key=lambda day: day.end_us, default=None)


def _with_priors(given: ZoneFile, fleet: Fleet, kinds: dict[int, MeterKind], zone: int | None) -> ZoneFile:
    customers = {m.installation.meter_id for m in given.zone.members if m.installation.role == "customer"}
    priors: dict[int, tuple[MeterPrior, ...]] = {}
    for meter_id in sorted(customers):
        found = fleet.prior(kinds[meter_id], zone)
        if found is not None:
            priors[meter_id] = (of_pool(found),)
    return replace(given, zone=replace(given.zone, priors=priors))
