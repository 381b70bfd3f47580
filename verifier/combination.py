"""Direct comparisons taken into a zone's posterior by Bayes: one site test sharpens the neighbours too. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metrology.errors import InvalidInputError
from verifier.balance.types import Comparison


class Posterior(NamedTuple):
    """A Gaussian belief of N meters' errors: mean [%], shape (N,), and covariance [%²], shape (N, N)."""

    error_pct: NDArray[np.float64]
    covariance_pct2: NDArray[np.float64]


def combine(posterior: Posterior, comparisons: Sequence[Comparison], meter_ids: Sequence[int]) -> Posterior:
    """The posterior given also the comparisons, those of other meters than `meter_ids` (in its order) left out.

    With H picking the compared meters, R = diag(u²): m' = m + K (z − H m), C' = (I − K H) C (I − K H)ᵀ + K R Kᵀ, K = C
    Hᵀ (H C Hᵀ + R)⁻¹ (Joseph's form, which stays symmetric and positive; Bar-Shalom et al., *Estimation with
    Applications to Tracking and Navigation*, 2001, 5.2.3). Equal to the batch least squares in which each comparison
    is one more observation of its meter. What a zone's balance leaves undecided between meters is a negative
    covariance of theirs, by which the news of one reaches the others. Raises InvalidInputError for shapes that don't
    fit and for a comparison without a positive uncertainty.
    """
    mean, covariance = posterior
    place = {meter_id: i for i, meter_id in enumerate(meter_ids)}
    if mean.shape != (len(place),) or covariance.shape != (len(place), len(place)):
        raise InvalidInputError(
            f"posterior of shapes {mean.shape} and {covariance.shape} for {len(place)} meters; give each once"
        )
    used = [one for one in comparisons if one.meter_id in place]
    for one in used:
        if not (np.isfinite(one.error_pct) and 0 < one.std_pct < np.inf):
            raise InvalidInputError(
                f"comparison of meter {one.meter_id}: {one.error_pct:g} ± {one.std_pct:g} %; give a standard"
                " uncertainty above 0"
            )
    if not used:
        return posterior
    picks = np.zeros((len(used), len(place)))
    picks[np.arange(len(used)), [place[one.meter_id] for one in used]] = 1.0
    noise = np.diag([one.std_pct**2 for one in used])
    found = np.array([one.error_pct for one in used])
    gain = np.linalg.solve(picks @ covariance @ picks.T + noise, picks @ covariance).T
    rest = np.eye(len(place)) - gain @ picks
    updated = rest @ covariance @ rest.T + gain @ noise @ gain.T
    return Posterior(mean + gain @ (found - picks @ mean), (updated + updated.T) / 2)
