"""A zone judged day by day: from its members' series to outcomes, gate first. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from threadpoolctl import threadpool_limits

from metrology.outcomes import Outcome, Reason
from metrology.quantities import Medium
from verifier.balance.averaging import ChangeBeliefs
from verifier.balance.days import History, history
from verifier.balance.gate import Understanding, incomplete, member_faults, shortfalls, understanding, unrest_begins
from verifier.balance.model import Beliefs
from verifier.balance.remedies import remedies
from verifier.balance.sequence import Epochs, ZoneState, advance, begin, believing, state_at
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import (
    DAY_US,
    Comparison,
    MemberSeries,
    MeterAssessment,
    SideInformation,
    ZoneDay,
    ZoneFacts,
    ZoneReport,
)
from verifier.balance.verdict import Figures, estimates, judge
from verifier.balance_settings import BalanceSettings

FaultsAt = Callable[[int], Mapping[int, tuple[str, ...]]]
NO_SIDE = SideInformation()
_UNCONVERTED_PCT = 3.0  # of gas at unknown temperature and pressure: 10 K are 3.4 %, 30 hPa 3 %


def assess_days(
    zone: ZoneFacts,
    members: Sequence[MemberSeries],
    side: SideInformation,
    comparisons: Sequence[Comparison],
    ends_us: Sequence[int],
    settings: BalanceSettings,
    faults_at: FaultsAt | None = None,
) -> Iterator[ZoneDay]:
    """The outcomes at each of `ends_us` (ends of days, ascending), from the history that lies before each.

    A history begins with the first reading of any member, or with `history_days` before the end, moved on by whole
    steps of `history_step_days` so that it stays the same for as many days. Readings that came late are taken in.
    `faults_at` tells the kinds of findings that spoil the balance at a day's end, by meter_id; None: the members' own.
    """
    first_us = _first_reading(members)
    for start_us, ends in _by_history(first_us, ends_us, settings):
        # One thread: many small products, which threads only hinder; zones are what is shared among processors.
        with threadpool_limits(limits=1):
            days = list(_assess_history(zone, members, side, comparisons, start_us, ends, settings, faults_at))
        yield from days


def history_start(first_us: int, end_us: int, settings: BalanceSettings) -> int:
    """Where the history of a day's end begins, given the zone's first reading [us since 1970]."""
    first_day, end_day = -(-first_us // DAY_US), end_us // DAY_US
    over = end_day - first_day - settings.history_days
    steps = max(-(-over // settings.history_step_days), 0)
    return (first_day + steps * settings.history_step_days) * DAY_US


def change_beliefs(settings: BalanceSettings, meters: int) -> ChangeBeliefs:
    """How often meters change, from settings a year to a day."""
    return ChangeBeliefs(
        settings.initial_fault_share,
        settings.change_rate_per_year / 365.25,
        max(10, meters // settings.meters_per_change),
    )


def beliefs(medium: Medium, side: SideInformation, settings: BalanceSettings) -> Beliefs:
    """Prior spreads of a medium's terms: constant, quadratic, daily course, and what all meters may err alike [%]."""
    constant, quadratic, rhythm, common = {
        # Technical losses of low-voltage networks are some percent, partly fixed, partly with the square of the load.
        Medium.ELECTRICITY: (2.0, 3.0, 0.3, 0.1),
        # Background leakage of tens of percent is common; it follows the pressure, and that the time of day.
        Medium.WATER: (30.0, 0.0, 5.0, 2.0),
        # Tight networks; a constant takes up what base conditions leave.
        Medium.GAS: (1.0, 0.0, 1.0, 0.5),
    }[medium]
    if medium is Medium.GAS and side.temperature_degc is None and side.atmospheric_hpa is None:
        common = _UNCONVERTED_PCT
    return Beliefs(constant, quadratic, rhythm, settings.loss_spread, settings.clock_sd_s(medium), common)


def _first_reading(members: Sequence[MemberSeries]) -> int:
    firsts = [int(member.observed_us[0]) for member in members if member.observed_us.size]
    return min(firsts, default=0)


def _by_history(first_us: int, ends_us: Sequence[int], settings: BalanceSettings) -> Iterator[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for end_us in ends_us:
        groups.setdefault(history_start(first_us, end_us, settings), []).append(end_us)
    yield from sorted(groups.items())


def _assess_history(
    zone: ZoneFacts,
    members: Sequence[MemberSeries],
    side: SideInformation,
    comparisons: Sequence[Comparison],
    start_us: int,
    ends_us: Sequence[int],
    settings: BalanceSettings,
    faults_at: FaultsAt | None,
) -> Iterator[ZoneDay]:
    customers = [member for member in members if not member.is_reference]
    references = [member for member in members if member.is_reference]
    gate = incomplete(customers, references)
    past = None
    if not gate:
        past, gate = _history(zone, customers, references, side, comparisons, start_us, ends_us[-1], settings)
    epochs = Epochs(settings.first_days, settings.epoch_days)
    changing = change_beliefs(settings, len(customers))
    state: ZoneState | None = None
    calm: dict[int, Figures | None] = {}
    for end_us in ends_us:
        days = (end_us - start_us) // DAY_US
        if past is None or days < 1 or days > past.days:
            why = gate or (Reason("insufficient_data", "no whole day of readings lies before this day's end"),)
            yield _withheld(customers, start_us, end_us, why)
            continue
        if state is None or epochs.last(days) > state.days:
            state = state_at(past, days, epochs, changing)
        while state is not None and state.days < days:
            state = advance(past, state, epochs, changing)
        if state is None:
            missing, collected_pct, groups = shortfalls(past, days, settings)
            why = missing or (Reason("insufficient_data", f"fewer than {settings.first_days} days of readings"),)
            yield _withheld(customers, start_us, end_us, why, groups, collected_pct)
            continue
        faults = member_faults(members, faults_at(end_us) if faults_at else None)
        seen = understanding(zone, believing(past, state.prior_sd), state, customers, settings)
        figures = _figures(zone, past, state, customers, settings, seen, calm)
        yield _judged(zone, past, state, customers, settings, faults, seen, figures, end_us == ends_us[-1])


def _history(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    references: Sequence[MemberSeries],
    side: SideInformation,
    comparisons: Sequence[Comparison],
    start_us: int,
    end_us: int,
    settings: BalanceSettings,
) -> tuple[History | None, tuple[Reason, ...]]:
    try:
        timeline = zone_timeline(
            customers, references, start_us, end_us, zone.interval_s * 1_000_000, settings.interpolation_reach_intervals
        )
    except ValueError as error:
        return None, (Reason("insufficient_data", str(error)),)
    if not timeline.usable.any():
        return None, (Reason("insufficient_data", "there is no interval that is known of all the zone's meters"),)
    try:
        return history(zone, customers, side, beliefs(zone.medium, side, settings), timeline, comparisons), ()
    except ValueError as error:
        return None, (Reason("no_consumption", str(error)),)


def _figures(
    zone: ZoneFacts,
    past: History,
    state: ZoneState,
    customers: Sequence[MemberSeries],
    settings: BalanceSettings,
    seen: Understanding,
    calm: dict[int, Figures | None],
) -> Figures | None:
    """The estimates to be told: of a zone that is not understood those of the last epoch before, None without any.

    A load that runs past the meters makes estimates wrong that were right before it began. `calm` keeps what was found.
    """
    now = Figures(state.days, tuple(estimates(believing(past, state.prior_sd), state, customers, settings)))
    if not seen.is_disturbed:
        return now
    epoch = Epochs(settings.first_days, settings.epoch_days).last(unrest_begins(past, state))
    if epoch not in calm:
        calm[epoch] = None
        if epoch:
            before = begin(past, epoch, change_beliefs(settings, len(customers)))
            then = believing(past, before.prior_sd)
            if not understanding(zone, then, before, customers, settings).is_disturbed:
                calm[epoch] = Figures(epoch, tuple(estimates(then, before, customers, settings)))
    return calm[epoch]


def _judged(
    zone: ZoneFacts,
    past: History,
    state: ZoneState,
    customers: Sequence[MemberSeries],
    settings: BalanceSettings,
    faults: tuple[Reason, ...],
    seen: Understanding,
    figures: Figures | None,
    is_last: bool,
) -> ZoneDay:
    past = believing(past, state.prior_sd)
    reasons = (*faults, *seen.reasons)
    assessments = judge(past, state, customers, reasons, figures, settings)
    report = ZoneReport(
        groups=seen.groups,
        collected_pct=seen.collected_pct,
        loss_pct=seen.loss_pct,
        noise_share_pct=seen.noise_share_pct,
        unmetered=seen.unmetered,
        unmetered_since_us=seen.unmetered_since_us,
        decidable=tuple(one.meter_id for one in assessments if one.decidable),
        remedies=remedies(zone, past, state, customers, settings) if is_last else (),
        reasons=reasons,
    )
    return ZoneDay(int(past.timeline.instants_us[past.edges[state.days]]), assessments, report)


def _withheld(
    customers: Sequence[MemberSeries],
    start_us: int,
    end_us: int,
    reasons: tuple[Reason, ...],
    groups: int = 0,
    collected_pct: float = 0.0,
) -> ZoneDay:
    assessments = [
        MeterAssessment(
            member.meter_id, start_us, end_us, member.mpe_pct, None, None, None, Outcome.WITHHELD,
            reasons if member.mpe_pct is not None else (*reasons, Reason("no_limit", member.no_limit)),
        )
        for member in customers
    ]  # fmt: skip
    return ZoneDay(end_us, assessments, ZoneReport(groups, collected_pct, None, None, None, None, (), (), reasons))
