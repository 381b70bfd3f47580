"""What a zone's data alone say of its meters' errors: the joint posterior with the meters' prior taken out again.

The balance's posterior of the errors θ at the end is N(m, C) under the prior N(μ, P) of its meters, which is
independent of that of all other terms (gain of the reference, losses, clocks). Those integrated out, Bayes' rule for
normal densities says of the data, up to a factor,

    p(data | θ) ∝ exp(−½ θᵀΛθ + hᵀθ),   Λ = C⁻¹ − P⁻¹,   h = C⁻¹m − P⁻¹μ

(Gelman et al., Bayesian Data Analysis, 3rd ed., 3.5). Of one meter by itself that is a measurement y = h/Λ of variance
1/Λ. The meters of a zone have to be taken together: what its data leave open in common, as the reference's gain, stands
in Λ as a direction of little information, and is not counted once for every meter. Pure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifier.balance.types import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ZoneLikelihood:
    """Likelihood exp(−½ θᵀΛθ + hᵀθ) of the errors θ [%] of N meters of one zone at the end.

    `information` Λ (N, N) [1/%²], positive semi-definite; `moment` h (N,) [1/%]. `told` (N,): the share of each meter's
    prior variance that the data took away; `changed` (N,): meters that left their former level within the history.
    """

    meter_ids: tuple[int, ...]
    information: Floats
    moment: Floats
    told: Floats
    changed: Bools

    def __len__(self) -> int:
        return len(self.meter_ids)


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
