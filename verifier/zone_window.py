"""The meters of one zone judged over one window of time: from cumulative totals to outcomes with reasons, pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from metrology.conformity import Outcome, Reason, decide, probability_nonconforming
from metrology.quantities import Medium
from metrology.regulation import get_regulation
from metrology.running_error import Shortfall, data_shortfalls, zone_refusals
from verifier.balance.window_model import BalanceInput, BalanceResult, solve_balance
from verifier.balance_settings import BalanceSettings
from verifier.grid import GridSeries, ZoneIntervals, grid_instants, on_grid, zone_intervals

DAY_US = 86_400_000_000


@dataclass(frozen=True)
class ZoneFacts:
    """What the registry says of the zone."""

    medium: Medium
    interval_s: int
    reference_uncertainty_pct: float


@dataclass(frozen=True)
class MemberSeries:
    """A meter of the zone with its accepted cumulative `total` [base unit] at `observed_us`, both shape (R,).

    Totals are after multipliers, glitches left out. `is_reference` tells the zone's reference meters from the
    customers', `passes_on` the references of zones inside, which count as customers; `sign` is −1 for exports.
    `mpe_pct` is None, with `no_limit` saying why, where no limit is known; `faults` are kinds of findings in force that
    spoil a balance.
    """

    meter_id: int
    is_reference: bool
    sign: int
    observed_us: NDArray[np.int64]
    total: NDArray[np.float64]
    resolution: float
    prior_sd_pct: float
    mpe_pct: float | None
    no_limit: str = ""
    faults: tuple[str, ...] = ()
    passes_on: bool = False


@dataclass(frozen=True)
class MeterAssessment:
    """One customer meter's outcome in the window [start_us, end_us)."""

    meter_id: int
    start_us: int
    end_us: int
    mpe_pct: float | None
    error_pct: float | None
    std_pct: float | None
    p_nonconforming: float | None
    outcome: Outcome
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class _Window:
    start_us: int
    intervals: ZoneIntervals
    collection_pct: float
    result: BalanceResult | None
    reasons: tuple[Reason, ...]


def assess_window(
    zone: ZoneFacts, members: Sequence[MemberSeries], earliest_us: int, end_us: int, settings: BalanceSettings
) -> list[MeterAssessment]:
    """The outcome of every customer meter at `end_us`, from the longest window since `earliest_us` that carries one.

    Windows are tried from the longest: the first with enough data and errors that were constant in it is taken. If
    none is, the reasons of the shortest with enough data (else of the longest) stand with every meter.
    """
    customers = [member for member in members if not member.is_reference]
    references = [member for member in members if member.is_reference]
    blocked = _gate(customers, references)
    tried = []
    for days in settings.windows_days if not blocked else settings.windows_days[:1]:
        start_us = max(earliest_us, end_us - days * DAY_US)
        window = _try_window(zone, customers, references, start_us, end_us, settings)
        tried.append(replace(window, reasons=(*blocked, *window.reasons)) if blocked else window)
        if tried[-1].result and not tried[-1].reasons:
            break
    chosen = next((window for window in reversed(tried) if window.result), tried[0])
    return _judge(chosen, customers, end_us, settings)


def _gate(customers: Sequence[MemberSeries], references: Sequence[MemberSeries]) -> tuple[Reason, ...]:
    """What forbids a balance whatever the figures."""
    reasons = []
    if not references:
        reasons.append(Reason("no_reference", "the zone has no reference meter in this window"))
    if not customers:
        reasons.append(Reason("no_customers", "no customer's meter is known in the zone in this window"))
    for member in (*references, *customers):
        if member.faults:
            role = "reference meter" if member.is_reference else "meter"
            kinds = ", ".join(member.faults)
            text = f"a {role} of the zone is at fault ({kinds}); its missing quantity would be put on others"
            reasons.append(
                Reason("member_at_fault", text, {"meter_id": member.meter_id, "findings": list(member.faults)})
            )
    return tuple(reasons)


def _try_window(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    references: Sequence[MemberSeries],
    start_us: int,
    end_us: int,
    settings: BalanceSettings,
) -> _Window:
    intervals, collected = _intervals(zone, customers, references, start_us, end_us, settings)
    collection_pct = 100 * float(np.mean(list(collected.values()))) if collected else 0.0
    groups = int(intervals.reference.size)
    missing = data_shortfalls(get_regulation(settings.sufficiency), collection_pct, groups)
    reasons = tuple(_reason("insufficient_data", shortfall) for shortfall in missing)
    if reasons or groups < 2 or not references or not customers:
        return _Window(start_us, intervals, collection_pct, None, reasons)
    try:
        given = _balance_input(zone, customers, references, intervals, settings)
        result = solve_balance(given, settings.std_floor_pct, settings.recent_days * DAY_US)
    except ValueError as error:
        return _Window(start_us, intervals, collection_pct, None, (Reason("no_consumption", str(error)),))
    return _Window(start_us, intervals, collection_pct, result, _doubts(result, zone, collection_pct, settings))


def _intervals(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    references: Sequence[MemberSeries],
    start_us: int,
    end_us: int,
    settings: BalanceSettings,
) -> tuple[ZoneIntervals, dict[int, float]]:
    """The zone's intervals, and by meter_id the share of instants at which it is known."""
    instants = grid_instants(start_us, end_us, zone.interval_s)
    reach = int(settings.interpolation_reach_intervals * zone.interval_s * 1_000_000)
    series = {member.meter_id: _placed(member, instants, reach) for member in (*customers, *references)}
    longest_us = int(settings.longest_interval_intervals * zone.interval_s * 1_000_000)
    of_customers, of_references = ([series[member.meter_id] for member in group] for group in (customers, references))
    intervals = zone_intervals(instants, of_customers, of_references, longest_us)
    return intervals, {i: float(np.mean(one.known)) if instants.size else 0.0 for i, one in series.items()}


def window_balance(
    zone: ZoneFacts, members: Sequence[MemberSeries], start_us: int, end_us: int, settings: BalanceSettings
) -> tuple[BalanceInput, dict[int, float]]:
    """What the balance of [start, end) takes in, and by meter_id the share of instants at which it is known."""
    customers = [member for member in members if not member.is_reference]
    references = [member for member in members if member.is_reference]
    intervals, collected = _intervals(zone, customers, references, start_us, end_us, settings)
    return _balance_input(zone, customers, references, intervals, settings), collected


def _placed(member: MemberSeries, instants: NDArray[np.int64], reach_us: int) -> GridSeries:
    placed = on_grid(member.observed_us, member.total, instants, reach_us)
    return GridSeries(member.sign * placed.total, placed.known)


def _balance_input(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    references: Sequence[MemberSeries],
    intervals: ZoneIntervals,
    settings: BalanceSettings,
) -> BalanceInput:
    return BalanceInput(
        intervals,
        zone.medium,
        np.array([member.prior_sd_pct for member in customers]),
        np.array([member.resolution for member in customers]),
        float(np.sqrt(np.sum([member.resolution**2 for member in references]))),
        zone.reference_uncertainty_pct,
        settings.clock_sd_s(zone.medium),
        settings.loss_spread,
        np.array([member.passes_on for member in customers]),
    )


def _doubts(
    result: BalanceResult, zone: ZoneFacts, collection_pct: float, settings: BalanceSettings
) -> tuple[Reason, ...]:
    """Why the fit must not carry a verdict: a zone that the rules refuse, or that the model does not explain."""
    # Jiangxi's limits on a zone's monthly loss are for electricity; water leaks more without being refused.
    loss_pct = result.loss_pct if zone.medium is Medium.ELECTRICITY else 0.0
    refused = zone_refusals(get_regulation(settings.refusal), collection_pct, result.groups, loss_pct)
    reasons = [_reason("zone_refused", shortfall) for shortfall in refused]
    mean_chi2, largest_chi2 = float(np.mean(result.halves_chi2)), float(np.max(result.halves_chi2))
    if mean_chi2 > settings.changed_mean_max or largest_chi2 > settings.changed_meter_max:
        data = {"mean_chi2": mean_chi2, "largest_chi2": largest_chi2}
        reasons.append(Reason("errors_changed", "the errors were not constant within the window", data))
    largest_pct = float(np.max(np.abs(result.error_pct)))
    if result.noise_share_pct > settings.noise_share_max_pct or largest_pct > settings.error_max_pct:
        data = {"noise_share_pct": result.noise_share_pct, "largest_error_pct": largest_pct}
        text = "the balance leaves too much unexplained: an unmetered load, or a member that is missing or foreign"
        reasons.append(Reason("zone_not_understood", text, data))
    return tuple(reasons)


def _reason(code: str, shortfall: Shortfall) -> Reason:
    rule = shortfall.rule
    origin = f"{rule.clause}, confidence {rule.confidence}"
    text = f"{rule.name} {shortfall.limit:g} is not met: {shortfall.found:.4g} ({origin})"
    return Reason(code, text, {"rule": rule.name, "limit": shortfall.limit, "found": shortfall.found})


def _judge(
    window: _Window, customers: Sequence[MemberSeries], end_us: int, settings: BalanceSettings
) -> list[MeterAssessment]:
    out = []
    for i, member in enumerate(customers):
        place = (member.meter_id, window.start_us, end_us, member.mpe_pct)
        reasons = window.reasons
        if member.mpe_pct is None:
            reasons = (*reasons, Reason("no_limit", member.no_limit))
        if window.result is None:
            why = reasons or (Reason("no_estimate", "no balance could be made in this window"),)
            out.append(MeterAssessment(*place, None, None, None, Outcome.WITHHELD, why))
            continue
        error, std = float(window.result.error_pct[i]), float(window.result.std_pct[i])
        if member.mpe_pct is None:
            out.append(MeterAssessment(*place, error, std, None, Outcome.WITHHELD, reasons))
            continue
        alarm, clear = settings.alarm_probability, settings.clear_probability
        decision = decide(error, std, member.mpe_pct, alarm=alarm, clear=clear, withheld=reasons)
        outcome, reasons = decision.outcome, decision.reasons
        if outcome is not Outcome.WITHHELD:
            reasons = tuple(_of_window(reason) for reason in reasons)
        if outcome is Outcome.CONFORMING and (doubt := _doubt_of_meter(window.result, i, member.mpe_pct, settings)):
            outcome, reasons = Outcome.INCONCLUSIVE, (doubt,)
        out.append(MeterAssessment(*place, error, std, decision.p_nonconforming, outcome, reasons))
    return out


def _of_window(reason: Reason) -> Reason:
    """The reason with what the estimate is one of: where an error drifts, the mean lags behind."""
    return replace(reason, text=f"mean over the window: {reason.text}", data={**reason.data, "estimate_of": "mean"})


def _doubt_of_meter(result: BalanceResult, i: int, mpe_pct: float, settings: BalanceSettings) -> Reason | None:
    """Why a meter whose estimate lies well within its limits is not said to conform all the same.

    A change between the parts of the window goes on, for all that is known: of a steady drift the error at the end is
    the mean and the halves' difference.
    """
    if result.information[i] < settings.information_min:
        data = {"information": float(result.information[i]), "needed": settings.information_min}
        text = "the data say little of this meter: the verdict would rest on what was believed before"
        return Reason("little_information", text, data)
    if result.last_day_share[i] < settings.last_day_share_min:
        data = {"last_day_share": float(result.last_day_share[i]), "needed": settings.last_day_share_min}
        text = "the meter registered hardly anything in the last day: whether it still runs can't be told from that"
        return Reason("little_recent_use", text, data)
    projected_pct = float(result.error_pct[i] + result.change_pct[i])
    p_projected = probability_nonconforming(projected_pct, float(result.std_pct[i]), mpe_pct)
    if result.change_chi2[i] > settings.steady_meter_max and p_projected > settings.clear_probability:
        data = {"change_pct": float(result.change_pct[i]), "chi2": float(result.change_chi2[i])}
        text = "the error seems to change within the window: its mean lies within the limits, the error now may not"
        return Reason("error_changing", text, data)
    return None
