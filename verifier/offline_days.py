"""A zone's days one after the other, as the verifier would have assessed them: the way to the estimator. Pure.

`assess_days` alone calls the estimator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from metrology.conformity import Outcome, Reason, decide
from metrology.quantities import Medium
from store.registry import Meter
from verifier.accepted import StepResults
from verifier.evidence import Comparison, SideInformation, check_comparisons
from verifier.settings import VerifierSettings
from verifier.zone_days import day_input
from verifier.zone_findings import is_spoiling
from verifier.zone_members import ZoneMeters
from verifier.zone_window import DAY_US, MemberSeries, MeterAssessment, ZoneFacts, assess_window

# Reasons that say nothing against a comparison with a standard: it needs no balance.
_OF_THE_BALANCE: Final = frozenset(
    {"no_reference", "insufficient_data", "no_estimate", "no_consumption", "zone_refused", "zone_not_understood",
     "errors_changed", "member_at_fault"}
)  # fmt: skip


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


@dataclass(frozen=True)
class ZoneDay:
    """The outcomes at one day's end, with the members and comparisons they rest on."""

    end_us: int
    assessments: Sequence[MeterAssessment]
    members: Sequence[MemberSeries]
    comparisons: Sequence[Comparison]


def day_ends(given: ZoneFile, settings: VerifierSettings) -> range:
    """The ends of the whole UTC days from the first on that a window may end at [us since 1970].

    The last day counts as whole if the readings reach to within an interval of its end. Where there is not even the
    shortest window, the last instant stands alone, so that its reasons can be told; empty without any reading.
    """
    times = [given.steps.series[i][0] for i in given.zone.meters if i in given.steps.series]
    times = [one for one in times if one.size]
    if not times:
        return range(0)
    step_us = given.zone.zone.interval_s * 1_000_000
    first, last = min(int(one[0]) for one in times), max(int(one[-1]) for one in times)
    begin = -(-first // DAY_US) * DAY_US + settings.balance.windows_days[-1] * DAY_US
    end = (last + step_us) // DAY_US * DAY_US
    return (
        range(begin, end + 1, DAY_US)
        if begin <= end
        else range(max(last // step_us * step_us, first), last + 1, DAY_US)
    )


def assess_days(given: ZoneFile, ends_us: Sequence[int], settings: VerifierSettings) -> Iterator[ZoneDay]:
    """The outcomes of every customer's meter at each end, ascending."""
    balance = settings.balance
    longest_us = balance.windows_days[0] * DAY_US
    ids = given.zone.meters.keys()
    spoiling = [draft for draft in given.steps.findings if draft.meter_id in ids and is_spoiling(draft)]
    for end_us in ends_us:
        day = day_input(given.zone, given.steps.series, spoiling, {}, end_us, settings)
        members = day.members
        assessments = assess_window(given.facts, members, day.earliest_us, end_us, balance)
        compared = _comparisons(given, end_us - longest_us, end_us)
        by_id = {member.meter_id: member for member in members}
        combined = [
            _combined(one, [c for c in compared if c.meter_id == one.meter_id], by_id[one.meter_id], settings)
            for one in assessments
        ]
        yield ZoneDay(end_us, combined, members, compared)


def _comparisons(given: ZoneFile, start_us: int, end_us: int) -> list[Comparison]:
    """The comparisons that hold in the window: a meter may have changed since an earlier one."""
    checked = check_comparisons(given.zone.zone, given.meters, given.steps.series, start_us, end_us)
    return [*checked, *(test for test in given.site_tests if start_us <= test.end_us <= end_us)]


def _combined(
    one: MeterAssessment, compared: Sequence[Comparison], member: MemberSeries, settings: VerifierSettings
) -> MeterAssessment:
    """The assessment with the meter's own comparisons taken in, by the product of normal densities.

    With precisions w = 1/u² the mean is Σ w e / Σ w and the variance 1 / Σ w (Gelman et al., section 2.5). Where the
    balance gave no estimate, the prior N(0, prior_sd²) takes its place, and the verdict rests on the comparison.
    """
    if not compared or one.mpe_pct is None:
        return one
    start = (0.0, member.prior_sd_pct) if one.error_pct is None or one.std_pct is None else (one.error_pct, one.std_pct)
    parts = [start, *((c.error_pct, c.std_pct) for c in compared)]
    weights = [1 / std**2 for _, std in parts]
    error_pct = sum(w * e for w, (e, _) in zip(weights, parts, strict=True)) / sum(weights)
    std_pct = sum(weights) ** -0.5
    against = [r for r in one.reasons if r.code not in _OF_THE_BALANCE] if one.outcome is Outcome.WITHHELD else []
    if member.faults:
        against = list(one.reasons)
    alarm, clear = settings.balance.alarm_probability, settings.balance.clear_probability
    decision = decide(error_pct, std_pct, one.mpe_pct, alarm=alarm, clear=clear, withheld=against)
    kinds = sorted({c.kind for c in compared})
    data = {"comparisons": len(compared), "balance_error_pct": one.error_pct, "balance_std_pct": one.std_pct}
    told = Reason("compared", f"rests also on {len(compared)} comparison(s): {', '.join(kinds)}", data)
    return replace(
        one,
        error_pct=error_pct,
        std_pct=std_pct,
        p_nonconforming=decision.p_nonconforming,
        outcome=decision.outcome,
        reasons=(*decision.reasons, told),
    )
