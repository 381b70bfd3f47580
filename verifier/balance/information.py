"""Days of a balance as sums of information: they add up, so that going on day by day equals solving all at once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from verifier.balance.types import Floats

Bias = Callable[[Floats], Floats]  # of an inverse covariance (U, U), shape (p,)


@dataclass(frozen=True)
class DayBlock:
    """A day's used rows, whitened by its covariance V = L·Lᵀ: `design` L⁻¹A (U, p), `target` L⁻¹y (U,).

    `bias` (p,): by how much quantisation lowers the columns' moments, see `days.day_block`. `log_det` is ln |V|.
    `most`: what the day may add at most to the logarithm of a change's odds, see `changes`.
    """

    day: int
    design: Floats
    target: Floats
    bias: Floats
    log_det: float
    most: float = np.inf


@dataclass(frozen=True)
class Sums:
    """Information of some days: `gram` Σ AᵀV⁻¹A (p, p), `moment` Σ AᵀV⁻¹y (p,), `square` Σ yᵀV⁻¹y, rows, Σ ln |V|."""

    gram: Floats
    moment: Floats
    square: float
    rows: int
    log_det: float

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            self.gram + other.gram,
            self.moment + other.moment,
            self.square + other.square,
            self.rows + other.rows,
            self.log_det + other.log_det,
        )


def whiten(day: int, design: Floats, target: Floats, covariance: Floats, bias: Bias) -> DayBlock:
    """A day's block. `design` (U, p), `target` (U,), `covariance` (U, U); `bias` gives it of the inverse covariance."""
    factor = scipy.linalg.cholesky(covariance, lower=True, check_finite=False)
    stacked = scipy.linalg.solve_triangular(factor, np.column_stack([design, target]), lower=True, check_finite=False)
    inverse = scipy.linalg.cho_solve((factor, True), np.eye(target.size), check_finite=False)
    return DayBlock(
        day,
        np.ascontiguousarray(stacked[:, :-1]),
        np.ascontiguousarray(stacked[:, -1]),
        bias(inverse),
        2 * float(np.sum(np.log(np.diag(factor)))),
    )


def sums_of(blocks: Iterable[DayBlock], size: int) -> Sums:
    """The sums of some days of `size` columns each."""
    total = Sums(np.zeros((size, size)), np.zeros(size), 0.0, 0, 0.0)
    for block in blocks:
        total = total + day_sums(block)
    return total


def day_sums(block: DayBlock) -> Sums:
    """One day's sums."""
    moment = block.design.T @ block.target + block.bias
    square = float(block.target @ block.target)
    return Sums(block.design.T @ block.design, moment, square, block.target.size, block.log_det)


@dataclass(frozen=True)
class Posterior:
    """Normal posterior of the terms: `mean` (p,), `covariance` (p, p), and what the noise turned out to be.

    `scale` multiplies the blocks' variances; `used` is how many parameters the data, not the prior, determined.
    `log_evidence` is the logarithm of the data's density under the model, up to a constant of the data.
    """

    mean: Floats
    covariance: Floats
    scale: float
    used: float
    log_evidence: float


@dataclass(frozen=True)
class Prior:
    """What is believed of the terms: `mean`, `sd` (p,); the first `meters` share an unknown mean of spread `common_sd`.

    Meters of one make and age tend to err alike: their errors are μ + ε_i with one μ for all.
    """

    mean: Floats
    sd: Floats
    common_sd: float
    meters: int

    def extended(self, more_sd: Sequence[float]) -> "Prior":
        """With further terms of mean zero."""
        mean = np.concatenate([self.mean, np.zeros(len(more_sd))])
        return replace(self, mean=mean, sd=np.concatenate([self.sd, more_sd]))

    @property
    def precision(self) -> Floats:
        """Inverse covariance, (p, p): (D + τ²11ᵀ)⁻¹ = D⁻¹ − D⁻¹11ᵀD⁻¹/(τ⁻² + 1ᵀD⁻¹1) (Sherman and Morrison, 1950)."""
        out = np.diag(self.sd**-2.0)
        if self.common_sd > 0:
            own = self.sd[: self.meters] ** -2.0
            out[: self.meters, : self.meters] -= np.outer(own, own) / (self.common_sd**-2.0 + own.sum())
        return out

    @property
    def log_det(self) -> float:
        """Logarithm of the covariance's determinant."""
        own = float(np.sum(self.sd[: self.meters] ** -2.0))
        return 2 * float(np.sum(np.log(self.sd))) + float(np.log1p(self.common_sd**2 * own))


def solve(sums: Sums, prior: Prior, least_scale: float = 0.8) -> Posterior:
    """N(m, C) with C = (G/s + P⁻¹)⁻¹, m = C·(h/s + P⁻¹μ) (Gelman et al., Bayesian Data Analysis, 3rd ed., 14.8).

    The scale s of the noise is found with it: the residuals' square over the rows less the parameters that the data
    determined, tr(C·G)/s (MacKay, Neural Computation 4 (1992) 415).
    """
    precision, scale = prior.precision, 1.0
    pull = precision @ prior.mean
    for _ in range(20):
        factor = scipy.linalg.cho_factor(sums.gram / scale + precision, lower=True, check_finite=False)
        mean = scipy.linalg.cho_solve(factor, sums.moment / scale + pull, check_finite=False)
        covariance = scipy.linalg.cho_solve(factor, np.eye(prior.sd.size), check_finite=False)
        used = float(np.sum(covariance * sums.gram)) / scale
        residual = sums.square - 2 * float(mean @ sums.moment) + float(mean @ sums.gram @ mean)
        updated = max(max(residual, 0.0) / max(sums.rows - used, 1.0), least_scale)
        if abs(updated - scale) <= 1e-3 * scale:
            break
        scale = updated
    log_det = 2 * float(np.sum(np.log(np.diag(factor[0])))) + prior.log_det
    away = mean - prior.mean
    penalty = float(away @ precision @ away)
    evidence = -0.5 * (residual / scale + penalty + log_det + sums.rows * np.log(scale) + sums.log_det)
    return Posterior(mean, covariance, scale, used, evidence)
