"""From a zone's state to each meter's error: standard uncertainty, its parts, and the probability beyond limits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verifier.balance.averaging import LEAST_WEIGHT, Averaged
from verifier.balance.changes import course
from verifier.balance.history import History
from verifier.balance.noise import LEAST_SHARE
from verifier.balance.sequence import ZoneState
from verifier.balance.types import Floats, MemberSeries
from verifier.balance_settings import BalanceSettings

_LOWEST_RATIO = 0.05  # true quantity over indicated; at 0 the meter's load would not exist
_REMAINDER = 0.4


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
