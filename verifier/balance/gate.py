"""Before any meter is judged: is the zone understood? What forbids a verdict, with its reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metrology.outcomes import Reason
from metrology.quantities import Medium
from metrology.regulation import get_regulation
from metrology.running_error import Shortfall, data_shortfalls, zone_refusals
from verifier.balance.days import coefficients
from verifier.balance.history import History
from verifier.balance.sequence import ZoneState
from verifier.balance.types import DAY_US, MemberSeries, ZoneFacts
from verifier.balance_settings import BalanceSettings

_MONTH_DAYS = 30
_RECENT_DAYS = 3
_DISTURBING = ("zone_not_understood", "unmetered_load")
_UNREST_SHARE = 0.5  # of the days since it began
_UNLIKE = 3.0  # times the spread of healthy meters, beyond which one errs like no healthy one
_FEW = 0.2  # of a zone's meters: were they more, what they have in common would be no error of theirs
_FAR = 0.5  # a coefficient beyond tells a foreign or reversed meter, no error
# Kinds of findings that the model itself accounts for, see `silence` and the changes.
_MODELLED = ("stopped", "reversed_running")


@dataclass(frozen=True)
class Understanding:
    """How well a zone is understood at the end of some days.

    `noise_share_pct` of the mean load; `unmetered` [base unit an interval] since `unmetered_since_us` where one is
    seen; `loss_pct` of what the reference registered in the last month.
    """

    groups: int
    collected_pct: float
    loss_pct: float
    noise_share_pct: float
    unmetered: float | None
    unmetered_since_us: int | None
    reasons: tuple[Reason, ...]

    @property
    def is_disturbed(self) -> bool:
        """Whether something flows, or is told, that the model does not hold, so that its estimates are not right."""
        return any(reason.code in _DISTURBING for reason in self.reasons)


def incomplete(customers: Sequence[MemberSeries], references: Sequence[MemberSeries]) -> tuple[Reason, ...]:
    """What of a balance is missing altogether."""
    reasons = []
    if not references:
        reasons.append(Reason("no_reference", "the zone has no reference meter in this window"))
    if not customers:
        reasons.append(Reason("no_customers", "no customer's meter is known in the zone in this window"))
    return tuple(reasons)


def member_faults(
    members: Sequence[MemberSeries], faults: Mapping[int, tuple[str, ...]] | None = None
) -> tuple[Reason, ...]:
    """Members at fault in ways that the model does not account for; `faults` by meter_id replace the members' own."""
    reasons = []
    for member in members:
        of_member = member.faults if faults is None else faults.get(member.meter_id, ())
        kinds = [kind for kind in of_member if member.is_reference or kind not in _MODELLED]
        if kinds:
            role = "reference meter" if member.is_reference else "meter"
            text = f"a {role} of the zone is at fault ({', '.join(kinds)}); its missing quantity would be put on others"
            reasons.append(Reason("member_at_fault", text, {"meter_id": member.meter_id, "findings": kinds}))
    return tuple(reasons)


def shortfalls(past: History, settings: BalanceSettings) -> tuple[tuple[Reason, ...], float, int]:
    """Why the days that are known do not suffice; the share collected [%] and the number of groups."""
    rows = slice(0, past.edges[past.days])
    collected_pct = float(np.mean(past.timeline.collected_pct[rows])) if past.edges[past.days] else 0.0
    groups = int(past.timeline.usable[rows].sum())
    missing = data_shortfalls(get_regulation(settings.sufficiency), min(collected_pct, 100.0), groups)
    return tuple(_reason("insufficient_data", one) for one in missing), collected_pct, groups


def understanding(
    zone: ZoneFacts, past: History, state: ZoneState, customers: Sequence[MemberSeries], settings: BalanceSettings
) -> Understanding:
    """What the balance says of the zone as a whole after the state's days."""
    missing, collected_pct, groups = shortfalls(past, settings)
    loss_pct, tolerance_pct = _loss(zone, past, state, customers)
    # Jiangxi's limits on a zone's monthly loss are for electricity; water leaks more without being refused. A loss that
    # the errors permitted to meters and reference explain is none.
    judged_pct = loss_pct if zone.medium is Medium.ELECTRICITY else 0.0
    if -tolerance_pct < judged_pct < 0:
        judged_pct = 0.0
    refused = zone_refusals(get_regulation(settings.refusal), min(collected_pct, 100.0), groups, judged_pct)
    reasons = [*missing, *(_reason("zone_refused", one) for one in refused)]
    noise, typical = _noise(past, state)
    size, since = _unmetered(past, state)
    is_water = zone.medium is Medium.WATER
    unmetered_max_pct = settings.unmetered_max_water_pct if is_water else settings.unmetered_max_pct
    if noise > settings.noise_max(zone.medium) * typical:
        data = {"noise": noise, "customer": typical, "unmetered": size, "since_us": since}
        text = (
            f"the balance leaves {100 * noise / past.load:.2g} % of the load unexplained from interval to interval,"
            f" {noise / max(typical, 1e-12):.2g} times what a usual customer's load varies by: an unmetered load, or a"
            " member that is missing or foreign"
        )
        reasons.append(Reason("zone_not_understood", text, data))
    reasons += _reference_changed(zone, past, state)
    if size is not None and abs(size) > unmetered_max_pct / 100 * past.load:
        data = {"size": size, "share_pct": 100 * size / past.load, "since_us": since}
        text = f"a load of {100 * size / past.load:.2g} % of the zone's runs past the meters"
        reasons.append(Reason("unmetered_load", text, data))
    return Understanding(
        groups,
        collected_pct,
        loss_pct,
        100 * noise / past.load,
        size,
        since if size is not None else None,
        tuple(reasons),
    )


def unrest_begins(past: History, state: ZoneState) -> int:
    """The day on which what is not understood began (a place in the history); 0 where nothing tells it."""
    restless = (state.unrests > 1.0).astype(np.float64)[::-1]
    share = np.cumsum(restless) / np.arange(1, restless.size + 1)
    long_enough = np.flatnonzero((share >= _UNREST_SHARE) & (restless > 0))
    of_noise = state.days - 1 - int(long_enough[-1]) if long_enough.size else None
    places = _shared_places(past)
    of_changes = [change.day for change in state.changes if change.meter in places]
    began = [*of_changes, *([] if of_noise is None else [of_noise])]
    # Noise as great from the first day on has no beginning: nothing was ever understood.
    return min(began, default=0)


def _reference_changed(zone: ZoneFacts, past: History, state: ZoneState) -> list[Reason]:
    """The references whose gain has changed by more than they are known to: which level is right, no balance tells."""
    now = coefficients(past, state.days - 1, state.changes, state.posterior)
    reasons = []
    for place in range(past.terms.sd.size)[past.terms.columns("gains")]:
        # From the first day on it is a gain, or a loss in proportion to the load, and no change.
        days = [change.day for change in state.changes if change.meter == place and change.day > 0]
        change_pct = 100 * float(now[place] - state.posterior.mean[place])
        if days and abs(change_pct) > 2 * zone.reference_uncertainty_pct:
            since_us = int(past.timeline.instants_us[past.edges[days[0]]])
            text = f"what the reference shows of the zone's load has changed by {change_pct:+.2g} %: test the reference"
            reasons.append(Reason("reference_changed", text, {"change_pct": change_pct, "since_us": since_us}))
    return reasons


def _shared_places(past: History) -> set[int]:
    shared = [past.terms.columns(name) for name in ("constant", "rhythm")]
    return {i for part in shared for i in range(part.start, part.stop)}


def _loss(zone: ZoneFacts, past: History, state: ZoneState, customers: Sequence[MemberSeries]) -> tuple[float, float]:
    """Loss of the last month as a share of the references' sum [%], and how far errors alone may carry it (2 sd).

    What meters show whose load does not flow through the reference, or that run in reverse, is left out or turned; of
    the few that surely err far beyond their like, what they err is taken off: it is no loss.
    """
    rows = slice(past.edges[max(state.days - _MONTH_DAYS, 0)], past.edges[state.days])
    used = past.timeline.usable[rows]
    x = past.timeline.customers[rows][used].sum(axis=0)
    meters = past.terms.columns("meters")
    now = coefficients(past, state.days - 1, state.changes, state.posterior)[meters]
    prior_sd = np.array([member.prior_sd_pct for member in customers]) / 100
    surely = np.abs(now) - 2 * np.sqrt(np.diag(state.posterior.covariance)[meters]) > _UNLIKE * prior_sd
    far = np.abs(now) > _FAR
    if surely.sum() <= _FEW * surely.size:
        far |= surely
    total = float(past.timeline.references[rows][used].sum())
    lost = total - float(x @ np.where(far, 1 + now, 1.0))
    share = np.where(far, 0.0, x) / max(float(np.abs(x).sum()), 1e-12)
    tolerance = 2 * float(np.sqrt(zone.reference_uncertainty_pct**2 + np.sum((100 * prior_sd * share) ** 2)))
    return (100 * lost / total if total else 0.0), tolerance


def _noise(past: History, state: ZoneState) -> tuple[float, float]:
    """Standard deviation of an interval's noise in the last days, registers and gaps apart, and that of a customer."""
    shape = state.shape
    recent = float(np.median(state.unrests[-_RECENT_DAYS:]))
    variance = (shape.white + shape.by_load + shape.red + shape.daily) * recent * state.posterior.scale
    x = past.timeline.customers[: past.edges[state.days]]
    return float(np.sqrt(variance)), float(np.median(x.std(axis=0)))


def _unmetered(past: History, state: ZoneState) -> tuple[float | None, int | None]:
    """What changes of the constant losses and their course amount to on the last day, and since when."""
    shared = [past.terms.columns(name) for name in ("constant", "rhythm")]
    places = _shared_places(past)
    mine = [change for change in state.changes if change.meter in places]
    if not mine:
        return None, None
    last = state.days - 1
    now = coefficients(past, last, state.changes, state.posterior)
    before = coefficients(past, last, (), state.posterior_without_changes(past.terms.sd.size))
    rows = slice(past.edges[last], past.edges[state.days])
    design = past.terms.design[rows]
    size = sum(float(np.mean(design[:, part] @ (now[part] - before[part]))) for part in shared)
    first = min(change.day for change in mine)
    return size, int(past.timeline.instants_us[past.edges[first]] // DAY_US * DAY_US)


def _reason(code: str, shortfall: Shortfall) -> Reason:
    rule = shortfall.rule
    origin = f"{rule.clause}, confidence {rule.confidence}"
    text = f"{rule.name} {shortfall.limit:g} is not met: {shortfall.found:.4g} ({origin})"
    return Reason(code, text, {"rule": rule.name, "limit": shortfall.limit, "found": shortfall.found})
