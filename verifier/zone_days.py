"""A zone's history as the balance takes it: who takes part, with which totals, and what spoils them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrology.quantities import MICRO
from store.findings import FindingDraft
from verifier.accepted import Series
from verifier.balance.types import DAY_US, Comparison, MemberSeries, SideInformation, ZoneDay
from verifier.pair_comparison import FoundComparison
from verifier.settings import VerifierSettings
from verifier.zone_findings import spoiled_spans
from verifier.zone_members import ZoneMeters, member_series


@dataclass(frozen=True)
class DaysInput:
    """What the outcomes at the ends of days with the same members and the same history's beginning rest on.

    `tried_at` tells the comparisons with standards that were looked for at a day's end, also of days before these,
    those without a measurement among them; `faults` by end those in force, by meter_id.
    """

    ends_us: tuple[int, ...]
    members: tuple[MemberSeries, ...]
    tried_at: Callable[[int], Sequence[FoundComparison]]
    faults: Mapping[int, Mapping[int, tuple[str, ...]]]
    side: SideInformation

    def comparisons_at(self, end_us: int) -> tuple[Comparison, ...]:
        """Those of a day's end that are measurements."""
        return tuple(one.comparison for one in self.tried_at(end_us) if one.comparison is not None)


def history_members(
    zone: ZoneMeters,
    series: Series,
    spoiling: Sequence[FindingDraft],
    start_us: int,
    end_us: int,
    settings: VerifierSettings,
) -> tuple[MemberSeries, ...]:
    """Those who took part in the history [start, end), a day's beginning and end.

    `series` may reach further: the totals are counted from the history's beginning, so that the same readings give the
    same figures to the last bit, whatever was read beside them. The last day before is kept, as far as less than a
    whole one, for a reading from which the course at the beginning can be told.
    """
    span_us = start_us - DAY_US + 1, end_us + int(settings.balance.late_member_s * 1e6)
    return tuple(
        replace(_within(member, *span_us), spoiled_us=spoiled_spans(spoiling, member.meter_id, member.is_reference))
        for member in member_series(zone, start_us, end_us, series, settings)
    )


def ends_of_like_members(zone: ZoneMeters, ends_us: Sequence[int], starts_us: Sequence[int]) -> list[tuple[int, ...]]:
    """Successive ends whose histories begin at the same time (`starts_us`, one an end) and have the same members.

    The same priors of these are in force at all of them.
    """
    groups: list[list[int]] = []
    before = None
    for end_us, start_us in zip(ends_us, starts_us, strict=True):
        priors = tuple(sum(one.from_us < end_us for one in of_meter) for of_meter in zone.priors.values())
        like = (start_us, tuple(zone.within(start_us, end_us)), priors)
        if like != before:
            groups.append([])
        groups[-1].append(end_us)
        before = like
    return [tuple(group) for group in groups]


def of_those_there(zone: ZoneMeters, day: ZoneDay) -> ZoneDay:
    """The day with the outcomes of the meters that are there at its end alone, each once, in its last stay."""
    there = {member.installation.meter_id for member in zone.present(day.end_us)}
    of_meter = {one.meter_id: one for one in day.assessments if one.meter_id in there}
    return replace(day, assessments=list(of_meter.values()))


def _within(member: MemberSeries, start_us: int, end_us: int) -> MemberSeries:
    """The member's readings in [start, end), its total counted from the first of them.

    Totals are whole millionths, and exact as such below 2**51 of them; differences of the float64 would not be.
    """
    low, high = np.searchsorted(member.observed_us, [start_us, end_us])
    if low == high:
        return replace(member, observed_us=member.observed_us[low:high], total=member.total[low:high])
    micro = np.rint(member.total[low:high] * MICRO).astype(np.int64)
    return replace(member, observed_us=member.observed_us[low:high], total=(micro - micro[0]) / MICRO)
