"""A case as the verifier takes it: facts of the zone, its meters' series, side information."""

from collections.abc import Iterator, Sequence

from verifier.balance.assess import assess_days
from verifier.balance.types import DAY_US, MemberSeries, SideInformation, ZoneDay, ZoneFacts
from verifier.balance_settings import BalanceSettings
from zones.case import START_US, ZoneCase


def members_of(case: ZoneCase) -> tuple[ZoneFacts, list[MemberSeries], SideInformation]:
    """In memory; a meter's id is its place among the case's meters."""
    zone = ZoneFacts(case.medium, case.interval_s, case.reference_uncertainty_pct)
    members = [
        MemberSeries(
            i,
            meter.role == "reference",
            -1 if meter.direction == "export" else 1,
            case.observed_us[i],
            case.total(i),
            meter.resolution * meter.multiplier,
            meter.prior_sd_pct,
            meter.mpe_pct,
            phase=int(meter.phase),
        )
        for i, meter in enumerate(case.meters)
    ]
    side = case.side
    known = SideInformation(
        side.resistance_ohm, side.conditions_us, side.pressure_m, side.temperature_degc, side.atmospheric_hpa
    )
    return zone, members, known


def assess_case(case: ZoneCase, settings: BalanceSettings, end_days: Sequence[int]) -> Iterator[ZoneDay]:
    """The zone at the ends of these days, counted from 1. The one place that knows what is under test."""
    zone, members, side = members_of(case)
    ends_us = [START_US + day * DAY_US for day in end_days]
    yield from assess_days(zone, members, side, lambda _end_us: (), ends_us, settings)
