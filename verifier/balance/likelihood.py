"""What a zone's data alone say of its meters' errors: the joint posterior with the meters' prior taken out again.

The balance's posterior of the errors θ at the end is N(m, C) under the prior N(μ, P) of its meters, which is
independent of that of all other terms (gain of the reference, losses, clocks). Those integrated out, Bayes' rule for
normal densities says of the data, up to a factor,

    p(data | θ) ∝ exp(−½ θᵀΛθ + hᵀθ),   Λ = C⁻¹ − P⁻¹,   h = C⁻¹m − P⁻¹μ

(Gelman et al., Bayesian Data Analysis, 3rd ed., 3.5). Of one meter by itself that is a measurement y = h/Λ of variance
1/Λ. The meters of a zone have to be taken together: what its data leave open in common, as the reference's gain, stands
in Λ as a direction of little information, and is not counted once for every meter. Pure.
"""

from collections.abc import Sequence

import numpy as np

from verifier.balance.changes import STEP, course
from verifier.balance.history import History
from verifier.balance.sequence import ZoneState
from verifier.balance.types import Floats, MemberSeries, ZoneLikelihood

_LOWEST_RATIO = 0.05  # true quantity over indicated, as in `verdict`


def zone_likelihood(
    past: History, state: ZoneState, customers: Sequence[MemberSeries], doubt: float
) -> ZoneLikelihood | None:
    """Of the zone's own meters after the state's days, by the terms as they are believed in `past`; None without any.

    `doubt`: standard deviation of what the model leaves out, of each meter's coefficient. A meter that errs from the
    history's first day on by more than was believed counts with its whole error; its prior is that of such a change.
    """
    size, own = past.terms.sd.size, _own(customers)
    if not own:
        return None
    # Of the posterior only the meters' own terms and their changes are needed.
    terms = np.array([*own, *range(size, size + len(state.changes))])
    lever = np.eye(len(own), terms.size)
    changed = np.array([(state.averaged[i].change_day or 0) > 0 for i in own], dtype=np.bool_)
    for column, change in enumerate(state.changes, start=len(own)):
        if change.meter in own:
            place = own.index(change.meter)
            lever[place, column] = course(change.kind, np.array(float(state.days - change.day)))
            changed[place] |= change.day > 0 or change.kind != STEP
    prior = past.terms.prior.extended([change.sd for change in state.changes])
    before = (lever * prior.sd[terms] ** 2) @ lever.T + prior.common_sd**2
    mean = lever @ state.posterior.mean[terms]
    covariance = lever @ state.posterior.covariance[np.ix_(terms, terms)] @ lever.T
    # Changes that may have come, but are not believed, widen an estimate as well.
    widened = np.array([state.averaged[i].moments[1] for i in own]) ** 2 - np.diag(covariance)
    doubts = np.sqrt(np.maximum(widened, 0.0) + doubt**2)
    likelihood = without_prior(mean, covariance, lever @ prior.mean[terms], before)
    likelihood = doubted(*likelihood, doubts)
    likelihood = of_errors(*likelihood, np.maximum(1 + mean, _LOWEST_RATIO))
    told = np.clip(1 - (np.diag(covariance) + doubts**2) / np.diag(before), 0.0, 1.0)
    return ZoneLikelihood(tuple(customers[i].meter_id for i in own), *likelihood, told, changed)


def _own(customers: Sequence[MemberSeries]) -> list[int]:
    """The places of the zone's own meters, each in its last stay; references of zones inside are of another kind."""
    last = {member.meter_id: i for i, member in enumerate(customers) if not member.passes_on}
    return sorted(last.values())


def without_prior(
    mean: Floats, covariance: Floats, prior_mean: Floats, prior_covariance: Floats
) -> tuple[Floats, Floats]:
    """Information Λ (N, N) and moment h (N,) of the data from a posterior (N,), (N, N) and the prior it was made with.

    Directions of which the data told nothing come out a rounding error off zero; none is left below it.
    """
    posterior, prior = np.linalg.inv(covariance), np.linalg.inv(prior_covariance)
    moment = posterior @ mean - prior @ prior_mean
    values, vectors = np.linalg.eigh(_symmetric(posterior - prior))
    least = 1e-9 * float(np.max(np.diag(prior)))
    told = np.where(values > least, values, 0.0)
    # What points where nothing was told is a rounding error, which nothing would hold in check.
    moment = vectors @ ((vectors.T @ moment) * (told > 0))
    return _symmetric((vectors * told) @ vectors.T), moment


def of_errors(information: Floats, moment: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """The same for the errors e [%] as for the coefficients d = 1/(1 + e) − 1, linearised at 1 + d = `ratio` (N,).

    d ≈ d₀ − (1 + d₀)²·(e − e₀).
    """
    at_error = 100 * (1 / ratio - 1)
    slope = -(ratio**2) / 100
    of_error = slope[:, None] * information * slope
    return of_error, slope * (moment - information @ (ratio - 1)) + of_error @ at_error


def doubted(information: Floats, moment: Floats, doubt: Floats) -> tuple[Floats, Floats]:
    """The likelihood of θ where what was measured is θ + δ, δ ~ N(0, D), D = diag(doubt²): (Λ⁻¹ + D)⁻¹.

    That is Λ − Λ·(Λ + D⁻¹)⁻¹·Λ (Woodbury), which needs no inverse of Λ. `doubt` (N,), above zero.
    """
    mixed = information + np.diag(doubt**-2.0)
    share = np.linalg.solve(mixed, np.column_stack([information, moment]))
    return _symmetric(information - information @ share[:, :-1]), moment - information @ share[:, -1]


def _symmetric(matrix: Floats) -> Floats:
    return np.asarray((matrix + matrix.T) / 2, dtype=np.float64)
