"""From a zone's state and estimates to each meter's outcome with its reasons."""

from collections.abc import Sequence

import numpy as np

from metrology.conformity import widest_std_pct
from metrology.outcomes import Outcome, Reason
from verifier.balance.estimates import Estimate, Figures
from verifier.balance.history import History
from verifier.balance.sequence import ZoneState
from verifier.balance.standstill import reversed_running, stopped
from verifier.balance.types import MemberSeries, MeterAssessment
from verifier.balance_settings import BalanceSettings

_FOREIGN_RATIO = 0.2
_DATED_DAYS = 3  # by which a change may be dated too early


def decidable(std_pct: float, mpe_pct: float | None) -> bool:
    """Whether a meter without error and one of twice the limit would each be told with 95 % probability."""
    return mpe_pct is not None and std_pct <= widest_std_pct(mpe_pct)


def judge(
    past: History,
    state: ZoneState,
    customers: Sequence[MemberSeries],
    zone_reasons: tuple[Reason, ...],
    figures: Figures | None,
    settings: BalanceSettings,
) -> list[MeterAssessment]:
    """Each customer meter's outcome after the state's days; `figures` are None where no estimate can be given."""
    by_own_evidence = stopped(past, state, settings) | reversed_running(past, state, customers)
    start_us = int(past.timeline.instants_us[0])
    end_us = int(past.timeline.instants_us[past.edges[state.days]])
    if figures is not None and figures.days < state.days:
        of_us = int(past.timeline.instants_us[past.edges[figures.days]])
        text = "the figures are those of an earlier day, the last on which the zone was understood"
        zone_reasons = (*zone_reasons, Reason("earlier_estimate", text, {"of_us": of_us}))
    out = []
    for i, member in enumerate(customers):
        one = figures.estimates[i] if figures else None
        outcome, reasons = _outcome(past, state, i, member, one, by_own_evidence.get(i), zone_reasons, settings)
        change_day = state.averaged[i].change_day if one and not zone_reasons else None
        judged = one is not None and member.mpe_pct is not None and i not in by_own_evidence
        out.append(
            MeterAssessment(
                member.meter_id,
                start_us,
                end_us,
                member.mpe_pct,
                one.error_pct if one and i not in by_own_evidence else None,
                one.std_pct if one and i not in by_own_evidence else None,
                min(max(one.below + one.above, 0.0), 1.0) if one and judged else None,
                outcome,
                reasons,
                None if change_day is None else int(past.timeline.instants_us[past.edges[change_day]]),
                one is not None and not zone_reasons and decidable(one.std_pct, member.mpe_pct),
                one.contributions_pct if one else {},
            )
        )
    return out


def _outcome(
    past: History,
    state: ZoneState,
    i: int,
    member: MemberSeries,
    one: Estimate | None,
    by_own_evidence: Reason | None,
    zone_reasons: tuple[Reason, ...],
    settings: BalanceSettings,
) -> tuple[Outcome, tuple[Reason, ...]]:
    if by_own_evidence is not None:
        return Outcome.NONCONFORMING, (by_own_evidence,)
    reasons = zone_reasons
    if member.mpe_pct is None:
        reasons = (*reasons, Reason("no_limit", member.no_limit))
    if one is not None and one.ratio < _FOREIGN_RATIO:
        text = "what this meter registers does not flow through the zone's reference: a member of another zone"
        reasons = (*reasons, Reason("foreign_member", text, {"true_over_indicated": one.ratio}))
    if reasons or one is None:
        return Outcome.WITHHELD, reasons
    figures = {"error_pct": one.error_pct, "std_pct": one.std_pct, "mpe_pct": member.mpe_pct}
    shown = f"{one.error_pct:+.2f} % ± {2 * one.std_pct:.2f} % (k = 2) against ±{member.mpe_pct:g} %"
    if max(one.below, one.above) > settings.alarm_probability:
        beyond = Reason("outside_limits", f"the error lies beyond its limit: {shown}", figures)
        unsettled = _unsettled(past, state, i)
        return (Outcome.INCONCLUSIVE, (unsettled,)) if unsettled else (Outcome.NONCONFORMING, (beyond,))
    if one.below + one.above >= settings.clear_probability:
        wide = one.below > settings.clear_probability / 2 and one.above > settings.clear_probability / 2
        code = "uncertainty_too_large" if wide else "straddles_limit"
        return Outcome.INCONCLUSIVE, (Reason(code, f"the error may lie within or beyond its limit: {shown}", figures),)
    doubt = _doubt(past, state, i, member, one, settings)
    if doubt is not None:
        return Outcome.INCONCLUSIVE, (doubt,)
    return Outcome.CONFORMING, (Reason("within_limits", f"the error lies within its limits: {shown}", figures),)


def _unsettled(past: History, state: ZoneState, i: int) -> Reason | None:
    """Why a meter's change is not told yet: a stopped meter's load goes up and down with this one's by chance."""
    changed = state.averaged[i].change_day
    place = past.edges[state.days] - 1
    told = zip(past.silences, past.missing, strict=True)
    first = [one.first for one, share in told if share > 0 and one.meter != i and one.first <= place < one.last]
    if changed is None or not first or past.edges[min(changed + _DATED_DAYS, state.days)] < min(first):
        return None
    data = {"unmetered_since_us": int(past.timeline.instants_us[min(first)])}
    text = "the meter seems to have changed while another's load is not registered: exchange that one first"
    return Reason("change_not_settled", text, data)


def _doubt(
    past: History, state: ZoneState, i: int, member: MemberSeries, one: Estimate, settings: BalanceSettings
) -> Reason | None:
    """Why a meter whose estimate lies well within its limits is not said to conform all the same."""
    information = told_share(one.std_pct, member)
    if information < settings.information_min:
        data = {"information": information, "needed": settings.information_min}
        text = "the data say little of this meter: the verdict would rest on what was believed before"
        return Reason("little_information", text, data)
    x = past.timeline.customers[: past.edges[state.days], i]
    last = x[past.edges[state.days - 1] :]
    share = float(np.mean(last)) / float(np.mean(x)) if np.mean(x) else 0.0
    if share < settings.last_day_share_min:
        data = {"last_day_share": share, "needed": settings.last_day_share_min}
        text = "the meter registered hardly anything in the last day: whether it still runs can't be told from that"
        return Reason("little_recent_use", text, data)
    return None


def told_share(std_pct: float, member: MemberSeries) -> float:
    """How much of the prior's variance the data took away, 1 − u²/s².

    What its like told of a meter is no information of its own: with a prior P² that was learned from them, the data's
    own variance v = 1/(u⁻² − P⁻²) is held against the spread s that would be believed otherwise, 1/(1 + v/s²). With
    P = s that is the same.
    """
    if member.unpooled_sd_pct is None:
        return 1 - (std_pct / member.prior_sd_pct) ** 2
    precision = std_pct**-2 - 1 / (member.prior_sd_pct**2 + (member.prior_common_pct or 0.0) ** 2)
    return 1 / (1 + 1 / (precision * member.unpooled_sd_pct**2)) if precision > 0 else 0.0
