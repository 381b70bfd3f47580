"""One day of a zone as the balance takes it: who takes part, with which totals, from when on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrology.quantities import MICRO
from store.findings import FindingDraft
from verifier.accepted import Series
from verifier.settings import VerifierSettings
from verifier.zone_due import MARGIN_US
from verifier.zone_findings import faults_at
from verifier.zone_members import ZoneMeters, first_in_window, member_series
from verifier.zone_window import DAY_US, MemberSeries


@dataclass(frozen=True)
class DayInput:
    """The members of a zone for windows in [earliest_us, end_us)."""

    earliest_us: int
    end_us: int
    members: tuple[MemberSeries, ...]


def day_input(
    zone: ZoneMeters,
    series: Series,
    spoiling: Sequence[FindingDraft],
    reference_faults: Mapping[int, tuple[str, ...]],
    end_us: int,
    settings: VerifierSettings,
) -> DayInput:
    """What the assessment of the day that ends at `end_us` rests on.

    `series` may reach further than the windows: the totals are counted from the windows' beginning, so that the same
    readings give the same figures to the last bit, whatever was read beside them.
    """
    balance = settings.balance
    longest_us = balance.windows_days[0] * DAY_US
    faults, over_us = faults_at(spoiling, end_us)
    faults |= reference_faults
    span_us = end_us - longest_us - MARGIN_US, end_us + int(balance.late_member_s * 1e6)
    members = tuple(
        _within(member, *span_us) for member in member_series(zone, zone.present(end_us), series, faults, settings)
    )
    first_us = first_in_window(members, end_us - longest_us, end_us)
    return DayInput(max(first_us, over_us, zone.changed_before(end_us)), end_us, members)


def _within(member: MemberSeries, start_us: int, end_us: int) -> MemberSeries:
    """The member's readings in [start, end), its total counted from the first of them.

    Totals are whole millionths, and exact as such below 2**51 of them; differences of the float64 would not be.
    """
    low, high = np.searchsorted(member.observed_us, [start_us, end_us])
    if low == high:
        return replace(member, observed_us=member.observed_us[low:high], total=member.total[low:high])
    micro = np.rint(member.total[low:high] * MICRO).astype(np.int64)
    return replace(member, observed_us=member.observed_us[low:high], total=(micro - micro[0]) / MICRO)
