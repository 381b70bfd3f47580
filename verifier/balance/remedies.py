"""What would make more of a zone decidable, ranked by what it is expected to bring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.linalg

from metrology.quantities import Medium
from verifier.balance.history import History
from verifier.balance.information import Prior
from verifier.balance.sequence import ZoneState
from verifier.balance.types import Floats, MemberSeries, Remedy, ZoneFacts
from verifier.balance.verdict import decidable
from verifier.balance_settings import BalanceSettings

_MORE_DAYS: Final = 30
_SITE_TEST_PCT: Final = 0.3  # standard uncertainty of a test on site
_BETTER: Final = 0.1  # what is left of a prior's spread once the thing is known
_LEAST_FALL_PCT: Final = 0.005
_SHOWN: Final = 5


@dataclass(frozen=True)
class _Zone:
    past: History
    customers: Sequence[MemberSeries]
    gram: Floats  # with the changes' columns
    prior: Prior
    std_pct: Floats  # now
    floor_pct: float

    def std_if(self, gram: Floats | None = None, sd: Floats | None = None) -> Floats:
        """Standard uncertainties [%], (N,), with other information or other priors."""
        prior = self.prior if sd is None else replace(self.prior, sd=sd)
        precision = (self.gram if gram is None else gram) + prior.precision
        factor = scipy.linalg.cho_factor(precision, lower=True, check_finite=False)
        n = len(self.customers)
        columns = scipy.linalg.cho_solve(factor, np.eye(self.prior.sd.size)[:, :n], check_finite=False)
        return self.floored(np.diag(columns))

    def floored(self, variance: Floats) -> Floats:
        out: Floats = np.hypot(100 * np.sqrt(np.maximum(variance, 0.0)), self.floor_pct)
        return out


def remedies(
    zone: ZoneFacts, past: History, state: ZoneState, customers: Sequence[MemberSeries], settings: BalanceSettings
) -> tuple[Remedy, ...]:
    """Remedies that help, the best first: newly decidable meters, then the fall of the mean standard uncertainty."""
    prior = past.terms.prior.extended([change.sd for change in state.changes])
    gram = np.linalg.inv(state.posterior.covariance) - prior.precision
    n = len(customers)
    floor_pct = settings.std_floor_pct
    now = np.hypot(100 * np.sqrt(np.diag(state.posterior.covariance)[:n]), floor_pct)
    at = _Zone(past, customers, gram, prior, now, floor_pct)
    found = [_more_days(at, state), *_known_better(zone, at), _gaps_repaired(at, state), _site_test(at, state)]
    useful = [one for one in found if one is not None and (one.newly_decidable or one.std_fall_pct > _LEAST_FALL_PCT)]
    return tuple(sorted(useful, key=lambda one: (-one.newly_decidable, -one.std_fall_pct))[:_SHOWN])


def _remedy(at: _Zone, code: str, text: str, std_pct: Floats, **data: float) -> Remedy:
    newly = sum(
        decidable(float(then), member.mpe_pct) and not decidable(float(now), member.mpe_pct)
        for then, now, member in zip(std_pct, at.std_pct, at.customers, strict=True)
    )
    return Remedy(code, text, newly, float(np.mean(at.std_pct - std_pct)), data)


def _more_days(at: _Zone, state: ZoneState) -> Remedy:
    std = at.std_if(gram=at.gram * (1 + _MORE_DAYS / state.days))
    return _remedy(at, "more_days", f"{_MORE_DAYS} more days of readings", std, days=_MORE_DAYS)


def _known_better(zone: ZoneFacts, at: _Zone) -> list[Remedy | None]:
    """Clocks, places in the network and the reference, each known ten times better."""
    groups: list[tuple[str, tuple[str, ...], str]] = [("clocks", ("clocks", "reference_clock"), "synchronised clocks")]
    if zone.medium is Medium.ELECTRICITY:
        groups.append(("network", ("places", "network_places"), "the network's plan: resistances of shared paths"))
    groups.append(("reference", ("gains",), "a reference meter of known error: a better certificate or a check meter"))
    out: list[Remedy | None] = []
    for code, names, text in groups:
        sd = at.prior.sd.copy()
        for name in names:
            sd[at.past.terms.columns(name)] *= _BETTER
        if not np.array_equal(sd, at.prior.sd):
            out.append(_remedy(at, code, text, at.std_if(sd=sd)))
    return out


def _gaps_repaired(at: _Zone, state: ZoneState) -> Remedy | None:
    """Every missing reading got from the meters' memories: rows that are lost or blurred by gaps become whole."""
    rows = at.past.edges[state.days]
    touched = ~at.past.timeline.usable[:rows]
    for gap in at.past.timeline.gaps:
        touched[gap.first : gap.last] = True
    whole = 1 - float(np.mean(touched))
    if whole >= 1:
        return None
    std = at.std_if(gram=at.gram / max(whole, 0.05))
    return _remedy(
        at, "gap_repair", "the missing readings, asked for again from the meters' memories", std, share=whole
    )


def _site_test(at: _Zone, state: ZoneState) -> Remedy | None:
    """A test on site of the meter that sharpens the zone most: C − c·cᵀ/(C_jj + u²) (Kalman, 1960)."""
    n = len(at.customers)
    covariance = state.posterior.covariance[:n, :n]
    best: Remedy | None = None
    undecided = [j for j in range(n) if not decidable(float(at.std_pct[j]), at.customers[j].mpe_pct)]
    for j in undecided or range(n):
        fall = covariance[:, j] ** 2 / (covariance[j, j] + (_SITE_TEST_PCT / 100) ** 2)
        std = at.floored(np.diag(covariance) - fall)
        one = _remedy(at, "site_test", "a test on site of this meter", std, meter_id=at.customers[j].meter_id)
        if best is None or (one.newly_decidable, one.std_fall_pct) > (best.newly_decidable, best.std_fall_pct):
            best = one
    return best
