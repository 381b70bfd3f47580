"""Whether a meter that registered small loads still does: its recent weeks against its own history. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

_MEANS = 100  # of the grid over a meter's usual share of small blocks
_SPREADS = 30  # ... and over how much its weeks vary: α + β of the Beta distribution
_LEAST_SPREAD, _LARGEST_SPREAD = 10.0, 2000.0  # a week's share has a standard deviation of 0.15 at most
_LOST_STEPS = 40
_INDEPENDENCE = 0.8  # M weeks of a household count as M to this power independent ones


@dataclass(frozen=True, slots=True)
class SmallFlowEvidence:
    """What recent weeks say: `share_before`, `share_now` of small blocks among those without a larger load.

    `p_false_alarm`: probability that a meter going on as in its history shows so few small blocks or fewer;
    `p_lost`: probability that its small loads are lost, given the prior.
    """

    share_before: float
    share_now: float
    p_false_alarm: float
    p_lost: float


def small_flow_evidence(
    small: NDArray[np.int64],
    blocks: NDArray[np.int64],
    small_now: int,
    blocks_now: int,
    *,
    lost_share: float,
    lost_prior: float,
) -> SmallFlowEvidence:
    """Weekly counts `small` of `blocks`, both shape (W,), against the counts of now.

    Model: each week's share is drawn from a Beta(μs, (1 − μ)s) of the meter's own, so its counts are Beta-Binomial
    (Gelman et al., *Bayesian Data Analysis*, 3rd ed., 5.3). μ is uniform and ln s uniform from 10 to 2000 before the
    history; their posterior is summed over a grid, so a short or unsteady history makes the prediction wide. What is
    judged now is taken as one draw however many weeks it spans, for habits last longer than a week. Against it stands
    the share ρ μ of lost small loads, ρ uniform in [0, lost_share]. The Bayes factor of both gives `p_lost`.
    """
    mean = (np.arange(_MEANS) + 0.5) / _MEANS
    spread = np.exp(np.linspace(np.log(_LEAST_SPREAD), np.log(_LARGEST_SPREAD), _SPREADS))
    a, b = (mean[:, None] * spread).ravel(), ((1 - mean[:, None]) * spread).ravel()
    log_weight = _log_beta_binomial(small[:, None], blocks[:, None], a, b).sum(axis=0)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    counts = np.arange(small_now + 1)
    pmf = np.exp(_log_beta_binomial(counts[:, None], blocks_now, a, b)) @ weight
    of_mean = weight.reshape(_MEANS, _SPREADS).sum(axis=1)
    left = (np.arange(_LOST_STEPS) + 0.5) / _LOST_STEPS * lost_share
    lost = np.exp(_log_binomial(small_now, blocks_now, mean[:, None] * left))
    odds = float(of_mean @ lost.mean(axis=1)) / max(float(pmf[-1]), 1e-300) * lost_prior / (1 - lost_prior)
    return SmallFlowEvidence(
        share_before=float(small.sum() / max(blocks.sum(), 1)),
        share_now=small_now / max(blocks_now, 1),
        p_false_alarm=min(float(pmf.sum()), 1.0),
        p_lost=odds / (1 + odds),
    )


def fewer_small_loads(
    share: NDArray[np.float64],
    blocks: NDArray[np.int64],
    share_now: NDArray[np.float64],
    *,
    lost_share: float,
    lost_prior: float,
) -> SmallFlowEvidence:
    """Weekly shares (W,) of `blocks` (W,) against those of now (M,): a smaller fall, seen over more weeks.

    Where a block is so long that short draws fill it as slow ones do, lost small loads take away a part of the small
    blocks only, and week after week. The mean of M weeks less the history's mean, over s √(1/M^0.8 + 1/W), follows
    Student's t with W - 1 degrees of freedom were all weeks alike and normal (Gelman et al., *Bayesian Data Analysis*,
    3rd ed., 3.2, the predictive distribution of a mean). The exponent stands for habits that last: over real meters the
    spread of a mean of M weeks falls as M^-0.42. s² is at least what the count of blocks scatters. Lost is a mean of
    ρ μ, ρ uniform in [0, lost_share], with the same spread.
    """
    mean, count = float(np.mean(share)), share.size
    total = float(np.sum(blocks))
    smoothed = (mean * total + 1) / (total + 2)  # all or none of the blocks are no proof that it is always so
    variance = max(float(np.var(share, ddof=1)), smoothed * (1 - smoothed) / max(float(np.mean(blocks)), 1.0))
    scale = np.sqrt(variance * (share_now.size**-_INDEPENDENCE + 1 / count))
    now = float(np.mean(share_now))
    left = (np.arange(_LOST_STEPS) + 0.5) / _LOST_STEPS * lost_share
    as_before = max(float(stats.t.pdf((now - mean) / scale, count - 1)), 1e-300)
    odds = float(np.mean(stats.t.pdf((now - left * mean) / scale, count - 1))) / as_before
    odds *= lost_prior / (1 - lost_prior)
    p_false_alarm = float(stats.t.cdf((now - mean) / scale, count - 1))
    return SmallFlowEvidence(mean, now, p_false_alarm, odds / (1 + odds))


def _log_choose(n: NDArray[np.int64] | int, k: NDArray[np.int64] | int) -> NDArray[np.float64]:
    return np.asarray(
        special.gammaln(np.add(n, 1)) - special.gammaln(np.add(k, 1)) - special.gammaln(np.subtract(n, k) + 1)
    )


def _log_beta_binomial(
    k: NDArray[np.int64], n: NDArray[np.int64] | int, a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(_log_choose(n, k) + special.betaln(k + a, n - k + b) - special.betaln(a, b))


def _log_binomial(k: int, n: int, p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_log_choose(n, k) + special.xlogy(k, p) + special.xlog1py(n - k, -p))
