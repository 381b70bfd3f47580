"""From changes weighed one by one to the errors at the end, averaged over what may have happened to each meter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from verifier.balance.changes import KINDS, SCALES, STEP, Change, Scan, scan, with_change_sums, with_changes
from verifier.balance.information import DayBlock, Posterior, Prior, Sums, solve
from verifier.balance.types import Floats

_SWEEPS = 2  # over the changes found, each weighed anew given the others
_INDEPENDENT = 0.2  # correlation below which several meters' changes are taken up at once
LEAST_WEIGHT = 1e-5  # of a part of a mixture
_APART_DAYS = 10
_AT_ONCE = 4


@dataclass(frozen=True)
class ChangeBeliefs:
    """How often meters change: share at fault from the first day, rate a day of changes, most changes in a zone.

    A silent meter has stopped if more than `stopped_share` of its usual load is surely missing.
    """

    initial_share: float
    rate_per_day: float
    changes_max: int
    stopped_share: float = 0.2


@dataclass(frozen=True)
class Averaged:
    """A meter's error coefficient at the end as a mixture of normals: `weight`, `mean`, `sd`, each (M,).

    `p_change` is the probability of a change, `change_day` its median day (a place among the blocks) where that is
    above one half.
    """

    weight: Floats
    mean: Floats
    sd: Floats
    p_change: float
    change_day: int | None

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and standard deviation of the mixture."""
        mean = float(self.weight @ self.mean)
        return mean, float(np.sqrt(self.weight @ (self.sd**2 + (self.mean - mean) ** 2)))

    def below(self, limit: float) -> float:
        """Probability that the coefficient lies below a limit."""
        return float(self.weight @ ndtr((limit - self.mean) / self.sd))


class ChangeSearch:
    """The changes of the columns `candidates`, found one after another; the first `meters` columns are averaged."""

    def __init__(
        self,
        blocks: Sequence[DayBlock],
        sums: Sums,
        prior: Prior,
        candidates: NDArray[np.intp],
        meters: int,
        beliefs: ChangeBeliefs,
    ) -> None:
        self._blocks, self._sums, self._prior, self._beliefs = blocks, sums, prior, beliefs
        self._candidates, self._meters = candidates, meters
        self._days = candidate_days(len(blocks))
        self._every_day = list(range(len(blocks)))

    def run(self, known: Sequence[Change]) -> tuple[list[Change], Posterior, list[Averaged]]:
        """The changes (begun with those `known` the day before), the posterior with them, and every meter's mixture."""
        changes = [change for change in known if change.day < len(self._blocks)]
        tables: dict[int, tuple[Scan, Posterior]] = {}
        for _ in range(_SWEEPS):
            changes, tables = self._refine(changes)
            grown, posterior, everything = self._grow(changes)
            if len(grown) == len(changes):
                break
            changes = grown
        else:
            changes, tables = self._refine(changes)
            posterior, everything = self._weighed(changes)
        odds = self._odds(everything)
        averaged = []
        for i in range(self._meters):
            if i in tables:
                table, without = tables[i]
                averaged.append(_average(table, self._odds(table)[..., 0], without, 0, i))
            else:
                averaged.append(_average(everything, odds[..., i], posterior, i, i))
        return changes, posterior, averaged

    def given(self, changes: Sequence[Change]) -> tuple[list[DayBlock], Posterior]:
        """The blocks and the posterior with a column for each of the changes."""
        prior = self._prior.extended([change.sd for change in changes])
        sums = with_change_sums(self._sums, self._blocks, changes) if changes else self._sums
        return with_changes(self._blocks, changes), solve(sums, prior)

    def _weighed(self, changes: Sequence[Change]) -> tuple[Posterior, Scan]:
        """The posterior given the changes, and every further one weighed against it."""
        blocks, posterior = self.given(changes)
        return posterior, scan(blocks, posterior, self._days, self._candidates)

    def _grow(self, changes: list[Change]) -> tuple[list[Change], Posterior, Scan]:
        """Take up further changes that are more probable than not, each dated to the day before the next is looked for.

        A change that is dated a little wrongly leaves days unexplained, and others would be taken up to explain them.
        """
        changes = list(changes)
        while True:
            blocks, posterior = self.given(changes)
            everything = scan(blocks, posterior, self._days, self._candidates)
            odds = self._odds(everything)
            of_columns = logsumexp(odds, axis=(0, 1, 2))
            of_columns[np.isin(self._candidates, [change.meter for change in changes])] = -np.inf
            rough = [self._best(everything, odds[..., i], int(self._candidates[i])) for i in range(odds.shape[-1])]
            taken = self._apart(of_columns, rough, posterior)[: self._beliefs.changes_max - len(changes)]
            if not taken:
                return changes, posterior, everything
            meters = np.array([change.meter for change in taken])
            table = scan(blocks, posterior, self._every_day, meters)
            odds = self._odds(table)
            changes += [self._best(table, odds[..., i], int(meter)) for i, meter in enumerate(meters)]

    def _refine(self, changes: list[Change]) -> tuple[list[Change], dict[int, tuple[Scan, Posterior]]]:
        """Each change weighed anew given the others; what is no longer probable is dropped."""
        tables: dict[int, tuple[Scan, Posterior]] = {}
        for change in changes:
            others = [other for other in changes if other is not change]
            blocks, posterior = self.given(others)
            table = scan(blocks, posterior, self._every_day, np.array([change.meter]))
            odds = self._odds(table)[..., 0]
            changes = others
            if logsumexp(odds) > 0:
                changes = [*others, self._best(table, odds, change.meter)]
                tables[change.meter] = (table, posterior)
        return changes, tables

    def _apart(self, odds: Floats, rough: Sequence[Change], posterior: Posterior) -> list[Change]:
        """The most probable change, and others as probable, at other times, that hardly hang together with it."""
        sd = np.sqrt(np.diag(posterior.covariance))
        taken: list[Change] = []
        for i in np.argsort(odds)[::-1]:
            one = rough[i]
            if odds[i] <= 0 or len(taken) >= _AT_ONCE:
                break
            others = np.array([other.meter for other in taken], dtype=np.intp)
            correlation = np.abs(posterior.covariance[one.meter, others]) / (sd[one.meter] * sd[others])
            if np.all(correlation < _INDEPENDENT) and all(abs(one.day - other.day) > _APART_DAYS for other in taken):
                taken.append(one)
        return taken

    def _odds(self, found: Scan) -> Floats:
        """Logarithm of each change's odds against none, (K, 2, S, N)."""
        prior = _log_prior(found.days, self._beliefs)[:, :, None, None] - np.log(len(SCALES))
        odds: Floats = found.log_factors() + prior
        flat = odds.reshape(-1, odds.shape[-1])
        too_much = np.take_along_axis(found.excess().reshape(flat.shape), np.argmax(flat, axis=0)[None], axis=0)[0]
        odds -= too_much
        return odds

    @staticmethod
    def _best(found: Scan, odds: Floats, meter: int) -> Change:
        k, kind, scale = np.unravel_index(int(np.argmax(odds)), odds.shape)
        return Change(meter, found.days[int(k)], int(kind), SCALES[int(scale)])


def candidate_days(count: int) -> list[int]:
    """Days on which changes are looked for among `count`: each of the last six, then ever fewer, and the first.

    Between them a change is only looked for; once found it is dated to the day.
    """
    back = np.unique(np.concatenate([np.arange(1, 7), np.round(6 * 1.25 ** np.arange(1, 40)).astype(int)]))
    return sorted({0, *(count - int(b) for b in back if b < count)})


def _log_prior(days: Sequence[int], beliefs: ChangeBeliefs) -> Floats:
    """Logarithm of the prior probability of each candidate day and kind, (K, 2): each stands for the days up to it."""
    spans = np.diff([0, *days])
    rates = beliefs.rate_per_day * np.maximum(spans, 1)[:, None] / len(KINDS) * np.ones((1, len(KINDS)))
    rates[0, STEP] = beliefs.initial_share
    out: Floats = np.log(rates)
    return out


def _average(found: Scan, odds: Floats, posterior: Posterior, place: int, meter: int) -> Averaged:
    """The mixture of no change and of every change of a meter, by day, kind and scale: `odds` (K, 2, S)."""
    squares = np.array(SCALES) ** 2
    q, b = found.information[:, :, None, place], found.score[:, :, None, place]
    variance = squares / (1 + q * squares)
    size = b * variance
    lever = (found.course - found.shadow[:, :, place])[:, :, None]
    base = float(posterior.covariance[meter, meter])
    log_weight = np.concatenate([[0.0], odds.ravel()])
    weight = np.exp(log_weight - logsumexp(log_weight))
    mean = posterior.mean[meter] + np.concatenate([[0.0], (lever * size).ravel()])
    sd = np.sqrt(base + np.concatenate([[0.0], (lever**2 * variance).ravel()]))
    p_change = 1 - float(weight[0])
    day = None
    if p_change > 0.5:
        of_days = weight[1:].reshape(odds.shape).sum(axis=(1, 2))
        day = found.days[int(np.searchsorted(np.cumsum(of_days), 0.5 * of_days.sum()))]
    kept = weight > LEAST_WEIGHT
    return Averaged(weight[kept] / weight[kept].sum(), mean[kept], sd[kept], p_change, day)
