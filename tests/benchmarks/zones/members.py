"""A case as the verifier takes it: facts of the zone, its meters' series, side information."""

from collections.abc import Iterator, Sequence

from verifier.balance.assess import assess_days
from verifier.balance.types import DAY_US, MemberSeries, MeterAssessment, SideInformation, ZoneFacts
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
        )
        for i, meter in enumerate(case.meters)
    ]
    return zone, members, SideInformation(**vars(case.side))


def assess_case(
    case: ZoneCase, settings: BalanceSettings, end_days: Sequence[int]
) -> Iterator[tuple[int, list[MeterAssessment]]]:
    """The assessments at the ends [us] of these days, counted from 1. The one place that knows what is under test."""
    zone, members, side = members_of(case)
    ends_us = [START_US + day * DAY_US for day in end_days]
    for day in assess_days(zone, members, side, (), ends_us, settings):
        yield day.end_us, day.assessments
