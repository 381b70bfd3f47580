"""A zone's history as days: their blocks under a noise's shape, and the calibration of that shape."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from verifier.balance.changes import Change, course, with_changes
from verifier.balance.history import History
from verifier.balance.information import DayBlock, Posterior, Sums, day_sums, solve, sums_of, whiten
from verifier.balance.network import met_in_neutral, met_on_phases
from verifier.balance.noise import DayRows, NoiseShape, day_covariance, first_shape, fit_shape, scaled, tail_inflation
from verifier.balance.silence import Silence
from verifier.balance.types import Floats

# What a day may add to the logarithm of a change's odds: on a day in a thousand a load that no meter shows goes up and
# down with a meter's, on a day in a dozen where one is known to flow.
_MOST, _MOST_UNMETERED = 7.0, 2.5
_SHAPE_DAYS = 12  # whose residuals tell the noise's shape


def day_rows(past: History, day: int, level: float = 1.0) -> DayRows:
    """What the covariance of one day depends on; loads that no meter shows vary by `level` times what they did."""
    first, last = past.edges[day], past.edges[day + 1]
    line = past.timeline
    gaps = [
        replace(gap, first=gap.first - first, last=gap.last - first)
        for gap in line.gaps
        if gap.first < last and gap.last > first
    ]
    # What a stopped meter does not show goes on about its usual course as it did before.
    unmetered = [
        _unmetered(one, level * share**2, first, last)
        for one, share in zip(past.silences, past.missing, strict=True)
        if share > 0 and one.first < last and one.last > first
    ]
    relative = line.customers[first:last].sum(axis=1) / past.load
    return DayRows(line.usable[first:last], relative, line.instant_variance[first : last + 1], gaps, unmetered)


def _unmetered(one: Silence, factor: float, first: int, last: int) -> tuple[int, int, float, float, float]:
    span = max(one.first, first) - first, min(one.last, last) - first
    return *span, factor * one.variance, one.persistence, factor * one.daily_variance


def unrest(block: DayBlock, terms: Floats) -> float:
    """Mean square of a day's whitened residuals: 1 where the noise is as expected. `terms` (p,) on that day."""
    if block.target.size == 0:
        return 1.0
    return float(np.mean((block.target - block.design @ terms) ** 2))


def day_block(past: History, day: int, shape: NoiseShape, guess: Floats | None = None, level: float = 1.0) -> DayBlock:
    """One day whitened, its noise `level` times as great as usual in variance.

    With a `guess` of the terms (p,), rows that lie far off get the variance of a tail.
    """
    facts, shape = day_rows(past, day, level), scaled(shape, level)
    used = facts.used
    design, target = past.rows(day)
    if not used.any():
        return DayBlock(day, design, target, np.zeros(past.terms.sd.size), 0.0, _MOST)
    inflation = None
    if guess is not None:
        inflation = np.ones(used.size)
        sd = np.sqrt(np.diag(day_covariance(shape, facts)))
        inflation[used] = tail_inflation(target - design @ guess, sd)
    covariance = day_covariance(shape, facts, inflation)
    block = whiten(day, design, target, covariance, lambda inverse: _bias(past, day, inverse))
    return replace(block, most=_MOST_UNMETERED if facts.unmetered else _MOST)


def with_comparisons(past: History, blocks: Sequence[DayBlock], sums: Sums) -> tuple[Sequence[DayBlock], Sums]:
    """The blocks with a row for each direct comparison that ended on their days, and their sums."""
    if not past.compared:
        return blocks, sums
    out = list(blocks)
    for day in sorted({one[0] for one in past.compared}):
        mine = [one for one in past.compared if one[0] == day]
        rows = np.zeros((len(mine), past.terms.sd.size))
        rows[np.arange(len(mine)), [meter for _, meter, _, _ in mine]] = [1 / sd for *_, sd in mine]
        log_det = 2 * float(sum(np.log(sd) for *_, sd in mine))
        target = np.array([d / sd for *_, d, sd in mine])
        own, block = DayBlock(day, rows, target, np.zeros(rows.shape[1]), log_det), out[day]
        sums = sums + day_sums(own)
        out[day] = replace(
            block,
            design=np.vstack([block.design, rows]),
            target=np.concatenate([block.target, target]),
            log_det=block.log_det + log_det,
        )
    return out, sums


def _bias(past: History, day: int, inverse: Floats) -> Floats:
    """By how much quantisation lowers the columns' moments, (p,), given a day's inverse covariance V⁻¹.

    It is an error in the variables: the registers' deviations η stand in the columns as Dη, D the difference of
    successive instants, and with the opposite sign in the balance. The moment of x_i is too small by tr(V⁻¹DDᵀ)·var η_i
    (Fuller, Measurement Error Models, 1987, section 2.2), that of another column f by Σ_i ∂f/∂x_i times the same: 2·S/S̄
    for S²/S̄; for x_i·S/S̄ by S/S̄ of its own register and x_i/S̄ of every one; taken at the mean load, S being what each
    customer meets on its phases, or in the neutral. Were products left out, what is given back for x_i would be too
    much, for they hang together with it.
    """
    variance = past.timeline.resolution_variance[day]
    part, shares = past.shares, past.terms.shares
    diagonal, first, second = (float(np.trace(inverse, offset=k)) for k in (0, 1, 2))
    same = 2 * diagonal - 2 * first
    shifted = 2 * first - diagonal - second - same
    total = variance.sum() if past.timeline.references.shape[1] == 1 else 0.0
    by_group: dict[str, Floats | float] = {
        "meters": same * variance,
        "clocks": shifted * np.tile(variance, 2),
        "reference_clock": shifted * variance.sum(),
        "gains": same * total,
        "quadratic": 2 * same * (variance @ met_on_phases(shares, part)),
        "unbalance": 2 * same * (variance @ met_in_neutral(shares, part)),
        "places": same * (variance * met_on_phases(shares, part) + part * met_on_phases(shares, variance)),
    }
    out = np.zeros(past.terms.sd.size)
    for group in past.terms.groups:
        out[group.first : group.last] = by_group.get(group.name, 0.0)
    return out


def coefficients(past: History, day: int, changes: Sequence[Change], posterior: Posterior) -> Floats:
    """The terms on one day, (p,): the meters' errors with what their changes have come to by its middle."""
    size = past.terms.sd.size
    out = posterior.mean[:size].copy()
    for change, coefficient in zip(changes, posterior.mean[size:], strict=True):
        out[change.meter] += coefficient * course(change.kind, np.array(day - change.day + 0.5))
    return out


def calibrate(
    past: History, changes: Sequence[Change] = (), begun: NoiseShape | None = None, rounds: int = 3
) -> tuple[NoiseShape, Posterior, Sums]:
    """The noise's shape by a history as it is known, and the terms that go with it, changes' columns last.

    The sums are those of the last round, under the shape before.
    """
    shape = begun or first_shape(past.load)
    posterior: Posterior | None = None
    prior = past.terms.prior.extended([change.sd for change in changes])
    for _ in range(rounds):
        bare = [day_block(past, day, shape) for day in range(past.days)]
        blocks, _ = with_comparisons(past, bare, sums_of([], past.terms.sd.size))
        sums = sums_of(with_changes(blocks, changes), prior.sd.size)
        posterior = solve(sums, prior)
        shape = _shape_of(past, changes, posterior, 1 - posterior.used / max(sums.rows, 1)) or shape
    assert posterior is not None
    return shape, posterior, sums


def _shape_of(past: History, changes: Sequence[Change], posterior: Posterior, freedom: float) -> NoiseShape | None:
    """The shape by the residuals of some of the calmer days; None where nothing was used."""
    every = {day: residual_of(past, day, changes, posterior) for day in range(past.days)}
    residuals = {day: residual for day, residual in every.items() if residual.size}
    if not residuals:
        return None
    wide = {day: float(np.mean(residual**2)) for day, residual in residuals.items()}
    calm = sorted(sorted(wide, key=lambda day: wide[day])[: -(-4 * len(wide) // 5)])
    chosen = [calm[round(i)] for i in np.linspace(0, len(calm) - 1, min(_SHAPE_DAYS, len(calm)))]
    rows = [day_rows(past, day) for day in chosen]
    return fit_shape([residuals[day] for day in chosen], rows, past.load, max(freedom, 0.1))


def residual_of(past: History, day: int, changes: Sequence[Change], posterior: Posterior) -> Floats:
    """What the terms leave of a day's used rows, (U,) [base unit]."""
    design, target = past.rows(day)
    return target - design @ coefficients(past, day, changes, posterior)
