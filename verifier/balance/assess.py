"""A zone judged day by day: from its members' series to outcomes, gate first. Pure."""

from collections.abc import Iterator, Sequence

from threadpoolctl import threadpool_limits

from metrology.outcomes import Outcome, Reason
from verifier.balance.estimates import Figures, estimates, left_out
from verifier.balance.gate import Understanding, incomplete, member_faults, shortfalls, understanding, unrest_begins
from verifier.balance.history import History
from verifier.balance.likelihood import zone_likelihood
from verifier.balance.remedies import remedies
from verifier.balance.sequence import ZoneState, believing
from verifier.balance.types import (
    DAY_US,
    MemberSeries,
    MeterAssessment,
    SideInformation,
    ZoneDay,
    ZoneFacts,
    ZoneReport,
)
from verifier.balance.verdict import judge
from verifier.balance.walk import ComparisonsAt, FaultsAt, ZoneInput, ZoneWalk
from verifier.balance_settings import BalanceSettings


def assess_days(
    zone: ZoneFacts,
    members: Sequence[MemberSeries],
    side: SideInformation,
    comparisons_at: ComparisonsAt,
    ends_us: Sequence[int],
    settings: BalanceSettings,
    faults_at: FaultsAt | None = None,
) -> Iterator[ZoneDay]:
    """The outcomes at each of `ends_us` (ends of days, ascending), each from what was known at its end.

    A history begins with the first reading of any member, or with `history_days` before the end, moved on by whole
    steps of `history_step_days` so that it stays the same for as many days. `comparisons_at` tells the direct
    comparisons known at a day's end, `faults_at` the kinds of findings that spoil the balance there, by meter_id; None:
    the members' own.
    """
    first_us = _first_reading(members)
    given = ZoneInput(zone, tuple(members), side, comparisons_at, faults_at)
    for start_us, ends in _by_history(first_us, ends_us, settings):
        # One thread: many small products, which threads only hinder; zones are what is shared among processors.
        with threadpool_limits(limits=1):
            days = list(_assess_history(ZoneWalk(given, start_us, settings), ends))
        yield from days


def history_start(first_us: int, end_us: int, settings: BalanceSettings) -> int:
    """Where the history of a day's end begins, given the zone's first reading [us since 1970]."""
    first_day, end_day = -(-first_us // DAY_US), end_us // DAY_US
    over = end_day - first_day - settings.history_days
    steps = max(-(-over // settings.history_step_days), 0)
    return (first_day + steps * settings.history_step_days) * DAY_US


def _first_reading(members: Sequence[MemberSeries]) -> int:
    firsts = [int(member.observed_us[0]) for member in members if member.observed_us.size]
    return min(firsts, default=0)


def _by_history(first_us: int, ends_us: Sequence[int], settings: BalanceSettings) -> Iterator[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for end_us in ends_us:
        groups.setdefault(history_start(first_us, end_us, settings), []).append(end_us)
    yield from sorted(groups.items())


def _assess_history(walk: ZoneWalk, ends_us: Sequence[int]) -> Iterator[ZoneDay]:
    given, settings = walk.given, walk.settings
    gate = incomplete(given.customers, given.references)
    calm: dict[int, Figures | None] = {}
    for end_us in ends_us:
        days = (end_us - walk.start_us) // DAY_US
        if gate or days < 1:
            why = gate or (Reason("insufficient_data", "no whole day of readings lies before this day's end"),)
            yield _withheld(given.customers, walk.start_us, end_us, why)
            continue
        told = walk.after(days)
        if isinstance(told, tuple):
            yield _withheld(given.customers, walk.start_us, end_us, told)
        elif told.state is None:
            missing, collected_pct, groups = shortfalls(told.past, settings)
            why = missing or (Reason("insufficient_data", f"fewer than {settings.first_days} days of readings"),)
            yield _withheld(given.customers, walk.start_us, end_us, why, groups, collected_pct)
        else:
            yield _judged(walk, told.past, told.state, calm, end_us == ends_us[-1])


def _figures(
    walk: ZoneWalk, past: History, state: ZoneState, seen: Understanding, calm: dict[int, Figures | None]
) -> Figures | None:
    """The estimates to be told: of a zone that is not understood those of the last epoch before, None without any.

    A load that runs past the meters makes estimates wrong that were right before it began. `calm` keeps what was found.
    """
    if not seen.is_disturbed:
        return Figures(state.days, tuple(estimates(past, state, walk.given.customers, walk.settings)))
    epoch = walk.epochs.last(unrest_begins(past, state))
    if epoch not in calm:
        calm[epoch] = _calm_figures(walk, epoch) if epoch else None
    return calm[epoch]


def _calm_figures(walk: ZoneWalk, epoch: int) -> Figures | None:
    """The estimates of an epoch; None if the zone was not understood then."""
    known = walk.at_epoch(epoch)
    if isinstance(known, tuple) or known.state is None:
        return None
    past, state, customers = believing(known.past, known.state.prior_sd), known.state, walk.given.customers
    if understanding(walk.given.zone, past, state, customers, walk.settings).is_disturbed:
        return None
    return Figures(epoch, tuple(estimates(past, state, customers, walk.settings)))


def _judged(walk: ZoneWalk, past: History, state: ZoneState, calm: dict[int, Figures | None], is_last: bool) -> ZoneDay:
    given, settings = walk.given, walk.settings
    end_us = walk.start_us + state.days * DAY_US
    past = believing(past, state.prior_sd)
    faults = member_faults(given.members, given.faults_at(end_us) if given.faults_at else None)
    seen = understanding(given.zone, past, state, given.customers, settings)
    reasons = (*faults, *seen.reasons)
    figures = _figures(walk, past, state, seen, calm)
    assessments = judge(past, state, given.customers, reasons, figures, settings)
    report = ZoneReport(
        groups=seen.groups,
        collected_pct=seen.collected_pct,
        loss_pct=seen.loss_pct,
        noise_share_pct=seen.noise_share_pct,
        unmetered=seen.unmetered,
        unmetered_since_us=seen.unmetered_since_us,
        decidable=tuple(one.meter_id for one in assessments if one.decidable),
        remedies=remedies(given.zone, past, state, given.customers, settings) if is_last else (),
        reasons=reasons,
    )
    told = None
    # Losses beyond what is allowed say nothing against estimates; to leave such zones out would choose by the errors.
    if is_last and all(reason.code == "zone_refused" for reason in reasons):
        told = zone_likelihood(past, state, given.customers, left_out(past, state, settings))
    return ZoneDay(end_us, assessments, report, told)


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
