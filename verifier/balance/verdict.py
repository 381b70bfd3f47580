"""From a zone's state to each meter's outcome: error, standard uncertainty, probability, reasons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metrology.outcomes import Outcome, Reason
from verifier.balance.averaging import LEAST_WEIGHT, Averaged
from verifier.balance.changes import course
from verifier.balance.history import History
from verifier.balance.noise import LEAST_SHARE
from verifier.balance.sequence import ZoneState
from verifier.balance.standstill import reversed_running, stopped
from verifier.balance.types import Floats, MemberSeries, MeterAssessment
from verifier.balance_settings import BalanceSettings

_CERTAIN = 1.645  # of a normal: 95 % on one side
_LOWEST_RATIO = 0.05  # true quantity over indicated; at 0 the meter's load would not exist
_FOREIGN_RATIO = 0.2
_REMAINDER = 0.4
_DATED_DAYS = 3  # by which a change may be dated too early


@dataclass(frozen=True)
class Estimate:
    """A meter's error at the end: `error_pct`, `std_pct`, and the probability of lying below and above its limits.

    `ratio` is the true quantity over the indicated; `contributions_pct` parts of the standard uncertainty.
    """

    error_pct: float
    std_pct: float
    below: float
    above: float
    ratio: float
    contributions_pct: dict[str, float]


@dataclass(frozen=True)
class Figures:
    """The estimates of all meters after `days` days of the history."""

    days: int
    estimates: tuple[Estimate, ...]


def decidable(std_pct: float, mpe_pct: float | None) -> bool:
    """Whether a meter without error and one of twice the limit would each be told with 95 % probability."""
    return mpe_pct is not None and 2 * _CERTAIN * std_pct <= mpe_pct


def estimates(
    past: History, state: ZoneState, customers: Sequence[MemberSeries], settings: BalanceSettings
) -> list[Estimate]:
    """The errors of all meters after the state's days.

    e = 1/(1 + d) − 1, de = −dd/(1 + d)²: limits on e are limits on d.
    """
    losses_pct = _unplaced_losses_pct(past, state)
    floor = left_out(past, state, settings)
    parts = _contributions(past, state)
    out = []
    for i, (member, averaged) in enumerate(zip(customers, state.averaged, strict=True)):
        widened = _doubted(averaged, floor, losses_pct / 100, float(past.terms.mean[i]), float(past.terms.sd[i]))
        mean, sd = widened.moments
        ratio = max(1 + mean, _LOWEST_RATIO)
        limit = (member.mpe_pct or np.inf) / 100
        above = widened.below(1 / (1 + limit) - 1)
        below = 1 - widened.below(1 / (1 - limit) - 1) if limit < 1 else 0.0
        own = {name: 100 * float(np.sqrt(part[i])) / ratio**2 for name, part in parts.items()}
        own["left_out"] = 100 * floor / ratio**2
        std = 100 * sd / ratio**2
        rest = std**2 - float(sum(value**2 for value in own.values()))
        own["changes"] = float(np.sqrt(own["changes"] ** 2 + max(rest, 0.0)))
        if rest < 0:  # several dates or none are averaged, of which the parts know but the most probable
            own = {name: value * std / float(np.sqrt(std**2 - rest)) for name, value in own.items()}
        out.append(Estimate(100 * (1 / ratio - 1), std, below, above, 1 + mean, own))
    return out


def left_out(past: History, state: ZoneState, settings: BalanceSettings) -> float:
    """Standard deviation of what the model leaves out of each meter's coefficient d."""
    doubt_pct = _network_doubt_pct(past, state, _unplaced_losses_pct(past, state), settings)
    return float(np.hypot(settings.std_floor_pct, doubt_pct)) / 100


def _doubted(averaged: Averaged, doubt: float, losses: float, prior_mean: float, prior_sd: float) -> Averaged:
    """The mixture with what the model leaves out, N(0, doubt²) on each meter, taken into account.

    What was estimated is then d + δ. For a meter that has not changed, d ~ N(μ, s²) gets the share k = s²/(s² + doubt²)
    of its deviation, and the variance k²·u² + (1 − k)·s², which never exceeds the prior's; after a change, of which
    little is known beforehand, doubt² is added. Losses are counted from what the meters show: an error d of one meter
    makes those with S² wrong by 2·d of them, which to second order looks like a further error of 2·d·losses.
    """
    mean, sd = averaged.mean.copy(), np.hypot(averaged.sd, np.hypot(doubt, 2 * losses * averaged.mean))
    unchanged = 1 - averaged.p_change
    if unchanged > LEAST_WEIGHT:  # then the first part of the mixture is that of no change
        k = prior_sd**2 / (prior_sd**2 + doubt**2)
        mean[0] = prior_mean + k * (mean[0] - prior_mean)
        sd[0] = np.sqrt(k**2 * averaged.sd[0] ** 2 + (1 - k) * prior_sd**2)
    return Averaged(averaged.weight, mean, sd, averaged.p_change, averaged.change_day)


def _network_doubt_pct(past: History, state: ZoneState, losses_pct: float, settings: BalanceSettings) -> float:
    """What the places of customers in a network without a plan leave in the error of each [%].

    At most a share of the line losses that are surely seen. Were they not as the columns say, their remainder would
    show as noise: N customers' remainders r_i·x_i² of a like size add up to √N of one, and what each pretends of error
    is `_REMAINDER` of it, as found on SimBench's grids (docs/zone-balance.md).
    """
    shape = state.shape
    noise = np.sqrt((shape.white + shape.by_load + shape.red) * state.posterior.scale) / past.load
    beyond_pct = 100 * float(np.sqrt(max(noise**2 - LEAST_SHARE**2, 0.0)))
    meters = past.terms.columns("meters").stop
    return min(settings.network_doubt * losses_pct, _REMAINDER * beyond_pct * float(np.sqrt(meters)))


def _unplaced_losses_pct(past: History, state: ZoneState) -> float:
    """Line losses, without a plan of the network, as a share of what was used [%]: what is surely seen of them.

    Where a customer hangs in it decides how much of them its load causes; columns x_i·S tell that only roughly.
    """
    names = ("quadratic", "unbalance", "own_quadratic", "places")
    columns = np.concatenate([np.arange(past.terms.sd.size)[past.terms.columns(name)] for name in names])
    rows = slice(0, past.edges[state.days])
    sums = past.terms.design[rows][:, columns].sum(axis=0)
    used = abs(float(np.sum(past.terms.design[rows, past.terms.columns("meters")])))
    if not columns.size or not used:
        return 0.0
    lost = abs(float(sums @ state.posterior.mean[columns]))
    sd = float(np.sqrt(sums @ state.posterior.covariance[np.ix_(columns, columns)] @ sums))
    return 100 * max(lost - 2 * sd, 0.0) / used


def _contributions(past: History, state: ZoneState) -> dict[str, Floats]:
    """Variances of the meters' coefficients by what they come from, each (N,).

    C = C·(P⁻¹ + G/s)·C parts the posterior's covariance by the priors of the groups and the noise of the data. A meter
    with a change counts with what that has come to: apart, the two are hardly known where the change is an old one.
    """
    size = past.terms.sd.size
    meters = past.terms.columns("meters")
    lever = np.eye(meters.stop, size + len(state.changes))
    for column, change in enumerate(state.changes, start=size):
        if change.meter < meters.stop:
            lever[change.meter, column] = course(change.kind, np.array(float(state.days - change.day)))
    covariance = lever @ state.posterior.covariance
    total = np.einsum("ij,ij->i", covariance, lever)
    precision = past.terms.prior.precision
    own_sd = np.array([change.sd for change in state.changes])
    out = {"changes": np.sum((covariance[:, size:] / own_sd) ** 2, axis=1)}
    for group in past.terms.groups:
        part = slice(group.first, group.last)
        out[group.name] = np.einsum("ij,jk,ik->i", covariance[:, part], precision[part, part], covariance[:, part])
    out["noise"] = np.maximum(total - np.sum(list(out.values()), axis=0), 0.0)
    return out


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
