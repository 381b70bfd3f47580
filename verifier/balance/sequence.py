"""A zone day by day: what is carried on, how a day is taken in, and when all is weighed anew.

Between two epochs a day adds its block to the sums; the noise's shape stays. At an epoch (every `epoch_days`) the
shape is calibrated anew by all days held, changes are looked for from nothing, and every block is made again from a
history that learned from the days before the epoch. A state therefore depends on the readings up to its day alone, not
on the day on which one began to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrology.conformity import ONE_SIDED_95
from verifier.balance.averaging import Averaged, ChangeBeliefs, ChangeSearch
from verifier.balance.changes import Change
from verifier.balance.days import calibrate, coefficients, day_block, unrest, with_comparisons
from verifier.balance.history import History
from verifier.balance.hyper import likeliest_sd
from verifier.balance.information import DayBlock, Posterior, Sums, day_sums, sums_of
from verifier.balance.noise import NoiseShape
from verifier.balance.silence import is_missing
from verifier.balance.types import Floats

_ROUNDS = 2  # of calibration and search at an epoch
_CALMING = 3  # searches, each with the noise of those days raised that the one before left unexplained
_UNREST_LEAST = 1.6  # of a day's residuals, beyond which its noise is taken for greater than usual
_UNREST_SAME = 0.3  # difference of logarithms
_MISSING_SAME = 0.3  # difference of shares


@dataclass(frozen=True)
class Epochs:
    """When all is weighed anew: with `first_days` days, then every `every_days`."""

    first_days: int
    every_days: int

    def last(self, days: int) -> int:
        """The last epoch at or before a number of days; 0 where there was none yet."""
        if days < self.first_days:
            return 0
        return max(self.first_days, days // self.every_days * self.every_days)


@dataclass(frozen=True)
class ZoneState:
    """What is known of a zone after `days` days: the noise's shape, the blocks and their sums, changes and estimates.

    `prior_sd` (p,): the terms' prior standard deviations as the data made them likely. Blocks and sums are those of the
    balance alone, without direct comparisons.
    `unrests` (D,): by how much each day's variances exceed the shape's, where no change of a meter explains it;
    `averaged`: of each meter.
    """

    days: int
    prior_sd: Floats
    shape: NoiseShape
    blocks: tuple[DayBlock, ...]
    sums: Sums
    unrests: Floats
    changes: tuple[Change, ...]
    posterior: Posterior
    averaged: tuple[Averaged, ...]

    def posterior_without_changes(self, size: int) -> Posterior:
        """The posterior of the model's first `size` terms alone, changes left out of the mean."""
        own = self.posterior
        return replace(own, mean=own.mean[:size], covariance=own.covariance[:size, :size])


def believing(past: History, prior_sd: Floats) -> History:
    """The history with other prior standard deviations of the terms, (p,)."""
    return replace(past, terms=replace(past.terms, sd=prior_sd))


def begin(past: History, beliefs: ChangeBeliefs) -> tuple[History, ZoneState]:
    """All weighed anew by the days of a history that are known; the history with what is missing of silent meters."""
    changes: Sequence[Change] = ()
    shape: NoiseShape | None = None
    days = past.days
    unrests = np.ones(days)
    first_terms = past.terms
    past = replace(past, missing=(1.0,) * len(past.silences))  # until it is told what they are
    for _ in range(_ROUNDS):
        shape, posterior, sums = calibrate(past, changes, shape)
        past = believing(past, likeliest_sd(first_terms, sums, [change.sd for change in changes]))
        past = replace(past, missing=_missing(past, days, changes, posterior, beliefs))
        guesses = [coefficients(past, day, changes, posterior) for day in range(days)]
        for _ in range(_CALMING):
            blocks = tuple(day_block(past, day, shape, guesses[day], unrests[day]) for day in range(days))
            found = _searched(past, shape, blocks, sums_of(blocks, past.terms.sd.size), unrests, (), beliefs)
            changes = found.changes
            guesses = [coefficients(past, day, changes, found.posterior) for day in range(days)]
            seen = np.array([unrest(block, guess) for block, guess in zip(blocks, guesses, strict=True)]) * unrests
            seen = np.where(seen > _UNREST_LEAST, seen, 1.0)
            if np.all(np.abs(np.log(seen / unrests)) < _UNREST_SAME):
                break
            unrests = seen
    return replace(past, terms=first_terms), found


def advance(past: History, state: ZoneState, beliefs: ChangeBeliefs) -> tuple[History, ZoneState]:
    """The state a day later, with which the history is known, and the history with what is missing of silent meters."""
    size, terms = state.prior_sd.size, past.terms
    past = believing(past, np.append(state.prior_sd, terms.sd[size:]))
    if terms.sd.size > size:
        first = min(silence.first for silence in past.silences[size - terms.sd.size :])
        state = _remade(past, _widened(state, terms.sd.size - size), first)
    found = _taken_in(past, state, beliefs)
    missing = _missing(past, state.days, found.changes, found.posterior, beliefs)
    told = zip(past.silences, past.missing, missing, strict=True)
    altered = [one.first for one, before, now in told if abs(before - now) > _MISSING_SAME]
    if altered:
        past = replace(past, missing=missing)
        posterior = replace(state.posterior, mean=found.posterior.mean, covariance=found.posterior.covariance)
        again = replace(state, changes=found.changes, posterior=posterior)
        found = _taken_in(past, _remade(past, again, min(altered), calm=True), beliefs)
    return replace(past, terms=terms), found


def _taken_in(past: History, state: ZoneState, beliefs: ChangeBeliefs) -> ZoneState:
    guess = coefficients(past, state.days, state.changes, state.posterior)
    level = 1.0
    for _ in range(_CALMING):
        block = day_block(past, state.days, state.shape, guess, level)
        blocks, sums = (*state.blocks, block), state.sums + day_sums(block)
        unrests = np.append(state.unrests, level)
        found = _searched(past, state.shape, blocks, sums, unrests, state.changes, beliefs)
        left = unrest(block, coefficients(past, state.days, found.changes, found.posterior))
        if left <= _UNREST_LEAST:
            break
        level *= left
    return found


def _missing(
    past: History, days: int, changes: Sequence[Change], posterior: Posterior, beliefs: ChangeBeliefs
) -> tuple[float, ...]:
    """By what share of silent meters' usual loads the rows may vary: 1 where one surely went on, 0 where surely none.

    How much of it was used on the mean tells little of its ups and downs.
    """
    part = past.terms.columns("silent")
    shares = coefficients(past, days - 1, changes, posterior)[part]
    sds = np.sqrt(np.diag(posterior.covariance)[part])
    return tuple(
        1.0
        if is_missing(share, sd, beliefs.stopped_share)
        else float(np.clip(share, 0.0, 1.0)) * (share + ONE_SIDED_95 * sd > beliefs.stopped_share)
        for share, sd in zip(shares.tolist(), sds.tolist(), strict=True)
    )


def _widened(state: ZoneState, new: int) -> ZoneState:
    """The state with columns more, of which nothing is known yet."""
    size = state.prior_sd.size
    places = [size] * new
    covariance = np.insert(np.insert(state.posterior.covariance, places, 0.0, 0), places, 0.0, 1)
    posterior = replace(state.posterior, mean=np.insert(state.posterior.mean, places, 0.0), covariance=covariance)
    blocks = tuple(
        replace(
            block,
            design=np.column_stack([block.design, np.zeros((block.target.size, new))]),
            bias=np.append(block.bias, np.zeros(new)),
        )
        for block in state.blocks
    )
    return replace(state, posterior=posterior, blocks=blocks)


def _remade(past: History, state: ZoneState, first: int, *, calm: bool = False) -> ZoneState:
    """The state with the blocks from the interval `first` on made anew, if `calm` as if no noise had been greater."""
    unrests, blocks = state.unrests.copy(), list(state.blocks)
    for block in state.blocks:
        if past.edges[block.day + 1] > first:
            unrests[block.day] = 1.0 if calm else unrests[block.day]
            guess = coefficients(past, block.day, state.changes, state.posterior)
            blocks[block.day] = day_block(past, block.day, state.shape, guess, float(unrests[block.day]))
    sums = sums_of(blocks, past.terms.sd.size)
    return replace(state, prior_sd=past.terms.sd, blocks=tuple(blocks), sums=sums, unrests=unrests)


def _searched(
    past: History,
    shape: NoiseShape,
    blocks: tuple[DayBlock, ...],
    sums: Sums,
    unrests: Floats,
    known: Sequence[Change],
    beliefs: ChangeBeliefs,
) -> ZoneState:
    changes, posterior, averaged = _search(past, *with_comparisons(past, blocks, sums), beliefs).run(known)
    return ZoneState(
        len(blocks), past.terms.sd, shape, blocks, sums, unrests, tuple(changes), posterior, tuple(averaged)
    )


def _search(past: History, blocks: Sequence[DayBlock], sums: Sums, beliefs: ChangeBeliefs) -> ChangeSearch:
    meters = past.terms.columns("meters")
    shared = [past.terms.columns(name) for name in ("constant", "rhythm", "gains")]
    candidates = np.concatenate([np.arange(part.start, part.stop) for part in (meters, *shared)])
    return ChangeSearch(blocks, sums, past.terms.prior, candidates, meters.stop, beliefs)


def level(past: History, state: ZoneState, name: str) -> tuple[Floats, Floats]:
    """What a group's terms amount to at the last day, its coefficients and their part of the covariance."""
    part = past.terms.columns(name)
    at_end = coefficients(past, state.days - 1, state.changes, state.posterior)
    return at_end[part], state.posterior.covariance[part, part]
