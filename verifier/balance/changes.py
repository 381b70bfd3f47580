"""When did which meter's error change? Every meter and every day weighed, then averaged.

A change of meter i on day k adds a column f(day − k)·x_i with an unknown coefficient δ: a step (f = 1 from k on) or a
drift (f = days since k over 30). With the residual r and the posterior covariance C of the model without it, the column
z of all days on has q = zᵀV⁻¹z − uᵀC·u, u = AᵀV⁻¹z, and b = zᵀV⁻¹r; with δ ~ N(0, s²) the Bayes factor of the change
is (1 + q·s²)^(−½)·exp(½·b²·s²/(1 + q·s²)), and δ's posterior N(b·s²/(1 + q·s²), s²/(1 + q·s²)) (Kass and Raftery, JASA
90 (1995) 773). The scan costs one product a candidate day. How large changes are is not known: several s are averaged.

On some days something else happens: a load that is no meter's, of no normal course, that happens to go up and down with
one meter's. If one day in e^c is such a day, no single day can speak for a change by more than c beyond what the others
say (Box and Tiao, Biometrika 55 (1968) 119): the logarithm of the factor is cut to that without its best day, plus the
c of that day (`DayBlock.most`). All changes of a meter are cut alike, by what the most probable one is too much: the
cut tells whether it has changed, not when.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from verifier.balance.information import DayBlock, Posterior, Sums
from verifier.balance.types import Floats

SCALES: Final = (0.01, 0.04, 0.16, 0.64)  # standard deviations of δ
STEP, DRIFT = 0, 1
KINDS: Final = (STEP, DRIFT)
_DRIFT_DAYS: Final = 30.0


@dataclass(frozen=True)
class Change:
    """Meter `meter` (place among the columns) changed on day `day` (place among the blocks), by a step or a drift.

    `sd` is the standard deviation of its size before the data.
    """

    meter: int
    day: int
    kind: int
    sd: float


@dataclass(frozen=True)
class Scan:
    """Every change, held against the model without it: K candidate days, 2 kinds, N meters; arrays (K, 2, N).

    `information` is q, `score` b, both in units of the noise; `shadow` is how much of the change's coefficient the
    model's own constant error takes up, (C·u)_i; `course` (K, 2): f at the end of the last day. `information_rest` and
    `score_rest` are those without the day that speaks loudest for the change, `most` what that may add.
    """

    days: tuple[int, ...]
    information: Floats
    score: Floats
    shadow: Floats
    course: Floats
    information_rest: Floats
    score_rest: Floats
    most: Floats

    def log_factors(self) -> Floats:
        """Logarithm of the Bayes factor of each change and scale, (K, 2, S, N)."""
        return _log_factors(self.information, self.score)

    def excess(self) -> Floats:
        """What is too much of each of them, for its loudest day says more than one day may, (K, 2, S, N)."""
        most = _log_factors(self.information_rest, self.score_rest) + self.most[:, :, None, :]
        return np.maximum(self.log_factors() - most, 0.0)


def _log_factors(information: Floats, score: Floats) -> Floats:
    squares = np.array(SCALES)[:, None] ** 2
    gain = information[:, :, None, :] * squares
    out: Floats = 0.5 * (score[:, :, None, :] ** 2 * squares / (1 + gain) - np.log1p(gain))
    return out


def course(kind: int, days_since: Floats) -> Floats:
    """f over a day whose middle lies `days_since` after the change's day began."""
    rising = np.maximum(days_since, 0.0) / _DRIFT_DAYS
    return (days_since > 0).astype(np.float64) if kind == STEP else rising


def with_changes(blocks: Sequence[DayBlock], changes: Sequence[Change]) -> list[DayBlock]:
    """The blocks with a column more for every change."""
    if not changes:
        return list(blocks)
    out = []
    for place, block in enumerate(blocks):
        extra = [course(c.kind, np.array(place - c.day + 0.5)) * block.design[:, c.meter] for c in changes]
        design = np.column_stack([block.design, *extra])
        bias = [course(c.kind, np.array(place - c.day + 0.5)) * block.bias[c.meter] for c in changes]
        out.append(replace(block, design=design, bias=np.concatenate([block.bias, bias])))
    return out


def with_change_sums(sums: Sums, blocks: Sequence[DayBlock], changes: Sequence[Change]) -> Sums:
    """The sums of the blocks with a column more for every change, given those without: the borders alone are new."""
    meters = [change.meter for change in changes]
    border, corner = np.zeros((sums.moment.size, len(changes))), np.zeros((len(changes), len(changes)))
    moment = np.zeros(len(changes))
    for place, block in enumerate(blocks):
        f = np.array([float(course(c.kind, np.array(place - c.day + 0.5))) for c in changes])
        if not f.any():
            continue
        columns = block.design[:, meters] * f
        border += block.design.T @ columns
        corner += columns.T @ columns
        moment += columns.T @ block.target + block.bias[meters] * f
    gram = np.block([[sums.gram, border], [border.T, corner]])
    return Sums(gram, np.concatenate([sums.moment, moment]), sums.square, sums.rows, sums.log_det)


def scan(blocks: Sequence[DayBlock], posterior: Posterior, days: Sequence[int], meters: NDArray[np.intp]) -> Scan:
    """Weigh a change of each of the columns `meters` (N,) on each of `days` (places among the blocks, ascending)."""
    p, n = posterior.mean.size, meters.size
    wanted, found = set(days), {}
    step, ramp = np.zeros((p, n)), np.zeros((p, n))
    zz, zy = np.zeros((3, n)), np.zeros((2, n))  # of step, step with ramp, ramp; of step, ramp
    day_share = 1.0 / _DRIFT_DAYS
    of_days = np.zeros((3, len(blocks), n))  # each day's own information and score, and what it may add
    for place in range(len(blocks) - 1, min(days) - 1, -1):
        block = blocks[place]
        x = block.design[:, meters]
        gram, own = block.design.T @ x, np.einsum("ij,ij->j", x, x)
        moment = x.T @ block.target + block.bias[meters]
        of_days[:, place] = own, moment - posterior.mean @ gram, np.full(n, block.most)
        # Begun a day earlier, f of the later days grows by one day; that of the day itself is half a day.
        ramp += (step + gram / 2) * day_share
        zz[2] += (2 * zz[1] + (zz[0] + own / 4) * day_share) * day_share
        zz[1] += (zz[0] + own / 2) * day_share
        zz[0] += own
        zy[1] += (zy[0] + moment / 2) * day_share
        zy[0] += moment
        step += gram
        if place in wanted:
            kinds = ((step, zz[0], zy[0]), (ramp, zz[2], zy[1]))
            found[place] = [
                _weigh(u, z, y, posterior, meters, _courses(kind, len(blocks) - place), of_days[:, place:])
                for kind, (u, z, y) in zip(KINDS, kinds, strict=True)
            ]
    order = tuple(sorted(found))
    stacked = np.array([found[place] for place in order])  # (K, 2, 6, N)
    ends = np.array([[float(course(kind, np.array(float(len(blocks) - place)))) for kind in KINDS] for place in order])
    information, score, shadow, *rest = (stacked[:, :, i] for i in range(6))
    return Scan(order, information, score, shadow, ends, *rest)


def _courses(kind: int, days: int) -> Floats:
    """f on each of the days after a change, (days,)."""
    return course(kind, np.arange(days, dtype=np.float64) + 0.5)


def _weigh(
    u: Floats,
    zz: Floats,
    zy: Floats,
    posterior: Posterior,
    meters: NDArray[np.intp],
    courses: Floats,
    of_days: Floats,
) -> tuple[Floats, ...]:
    """q, b and (C·u)_i of one day and kind, in units of the noise; q, b without the loudest day, and its most."""
    shadow = posterior.covariance @ u / posterior.scale
    information = np.maximum((zz - np.einsum("ij,ij->j", u, shadow)) / posterior.scale, 0.0)
    score = (zy - u.T @ posterior.mean) / posterior.scale
    parts = courses[:, None] * of_days[1] / posterior.scale  # of b, (days, N)
    each = np.arange(meters.size)
    loudest = np.argmax(parts * np.sign(score), axis=0)
    own = courses[loudest] ** 2 * of_days[0, loudest, each] / posterior.scale
    rest = np.maximum(information - own, 0.0), score - parts[loudest, each], of_days[2, loudest, each]
    return information, score, shadow[meters, each], *rest
