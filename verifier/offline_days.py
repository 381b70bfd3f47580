"""A zone's days one after the other, as its files tell them: the way to the estimator. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from metrology.quantities import Medium
from store.registry import Meter
from verifier.accepted import StepResults
from verifier.balance.assess import assess_days
from verifier.balance.types import DAY_US, Comparison, MemberSeries, SideInformation, ZoneDay, ZoneFacts
from verifier.compared import decided_by_comparison
from verifier.file_comparisons import file_comparisons
from verifier.pair_comparison import FoundComparison
from verifier.resistances import resistance_of
from verifier.settings import VerifierSettings
from verifier.zone_days import history_members, of_those_there
from verifier.zone_findings import faults_at, is_spoiling
from verifier.zone_members import ZoneMeters


@dataclass(frozen=True)
class ZoneFile:
    """A zone as its files tell it: who takes part, what the checks on steps found, and what stands beside."""

    zone: ZoneMeters
    meters: Sequence[Meter]
    steps: StepResults
    side: SideInformation = field(default_factory=SideInformation)
    site_tests: Sequence[Comparison] = ()

    @property
    def facts(self) -> ZoneFacts:
        """What the balance needs to know of it."""
        zone = self.zone.zone
        return ZoneFacts(Medium(zone.medium), zone.interval_s, zone.reference_uncertainty_pct)


def day_ends(given: ZoneFile, settings: VerifierSettings) -> range:
    """The ends of the whole UTC days from the first on that a history may end at [us since 1970].

    The last day counts as whole if the readings reach to within an interval of its end. Where there are fewer
    than `first_days`, the last instant stands alone, so that its reasons can be told; empty without any reading. They
    begin and end where two meters have been read, for one alone makes no balance: its clock may be years off.
    """
    times = [given.steps.series[i][0] for i in given.zone.meters if i in given.steps.series]
    times = [one for one in times if one.size]
    if not times:
        return range(0)
    step_us = given.zone.zone.interval_s * 1_000_000
    firsts, lasts = sorted(int(one[0]) for one in times), sorted(int(one[-1]) for one in times)
    first, last = (firsts[1], lasts[-2]) if len(times) > 1 and firsts[1] <= lasts[-2] else (firsts[0], lasts[-1])
    begin = -(-first // DAY_US) * DAY_US + settings.balance.first_days * DAY_US
    end = (last + step_us) // DAY_US * DAY_US
    return (
        range(begin, end + 1, DAY_US)
        if begin <= end
        else range(max(last // step_us * step_us, first), last + 1, DAY_US)
    )


def zone_days(given: ZoneFile, ends_us: Sequence[int], settings: VerifierSettings) -> Iterator[ZoneDay]:
    """The outcomes of every customer's meter at each end, ascending."""
    if not ends_us:
        return
    members = members_until(given, ends_us[-1], settings)
    spoiling = [draft for draft in given.steps.findings if draft.meter_id in given.zone.meters and is_spoiling(draft)]
    side = given.side
    if side.resistance_ohm is not None:
        customers = [member.meter_id for member in members if not member.is_reference]
        side = replace(side, resistance_ohm=resistance_of(given.zone.zone, customers, side.resistance_ohm))

    @cache
    def compared(end_us: int) -> Sequence[Comparison]:
        return comparisons_until(given, end_us, settings)

    days = assess_days(
        given.facts, members, side, compared, ends_us, settings.balance,
        lambda end_us: faults_at(spoiling, end_us),
    )  # fmt: skip
    for day in days:
        yield decided_by_comparison(of_those_there(given.zone, day), members, compared(day.end_us), settings)


def members_until(given: ZoneFile, end_us: int, settings: VerifierSettings) -> tuple[MemberSeries, ...]:
    """Those who took part up to a time, from their first readings on."""
    times = [given.steps.series[i][0] for i in given.zone.meters if i in given.steps.series]
    first_us = min((int(one[0]) for one in times if one.size), default=end_us)
    spoiling = [draft for draft in given.steps.findings if is_spoiling(draft)]
    start_us = first_us // DAY_US * DAY_US
    return history_members(given.zone, given.steps.series, spoiling, start_us, end_us, settings)


def comparisons_until(given: ZoneFile, end_us: int, settings: VerifierSettings) -> list[Comparison]:
    """The site tests, and the check meters in series as known before `end_us`."""
    checked = checked_until(given, end_us, settings)
    return [*(one.comparison for one in checked if one.comparison is not None), *given.site_tests]


def checked_until(given: ZoneFile, end_us: int, settings: VerifierSettings) -> list[FoundComparison]:
    """What came of every check meter in series: a measurement with its budget, or the reasons why there is none."""
    return file_comparisons(given.zone.zone, given.meters, given.steps.series, end_us, settings)
