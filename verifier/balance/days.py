"""A zone's history as days: raw rows, their blocks under a noise's shape, and the calibration of that shape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verifier.balance.changes import Change, course, with_changes
from verifier.balance.information import DayBlock, Posterior, Sums, solve, sums_of, whiten
from verifier.balance.model import Beliefs, Intervals, Terms, terms
from verifier.balance.noise import DayRows, NoiseShape, day_covariance, first_shape, fit_shape, tail_inflation
from verifier.balance.silence import Silence, last_silences
from verifier.balance.timeline import Timeline
from verifier.balance.types import DAY_US, Comparison, Floats, MemberSeries, SideInformation, ZoneFacts

_SHAPE_DAYS = 12  # whose residuals tell the noise's shape


@dataclass(frozen=True)
class History:
    """A zone's timeline with the model's columns over it: `terms` and `target` reference − Σ x, (T,).

    `edges` (D + 1,): the first interval of each day. `load`: the mean load [base unit an interval]. `silences` are
    those of the columns `silent`, `compared` the direct comparisons: day, meter's column, coefficient d and its std.
    """

    timeline: Timeline
    terms: Terms
    target: Floats
    load: float
    edges: tuple[int, ...]
    silences: tuple[Silence, ...]
    compared: tuple[tuple[int, int, float, float], ...]

    @property
    def days(self) -> int:
        """How many days there are."""
        return len(self.edges) - 1


def history(
    zone: ZoneFacts,
    customers: Sequence[MemberSeries],
    side: SideInformation,
    beliefs: Beliefs,
    timeline: Timeline,
    comparisons: Sequence[Comparison] = (),
) -> History:
    """The model over a timeline. Raises ValueError if nothing flowed."""
    x = timeline.customers
    total = x.sum(axis=1)
    load = float(np.mean(np.abs(total[timeline.usable]))) if timeline.usable.any() else 0.0
    if load <= 0:
        raise ValueError("nothing was consumed in the window: a balance tells nothing")
    starts = timeline.instants_us[:-1]
    # A meter that was taken away is no silent one: another counts its load.
    silences = [
        silence
        for silence in last_silences(x, timeline.instants_us)
        if (left_us := customers[silence.meter].removed_us) is None or timeline.instants_us[silence.last] <= left_us
    ]
    data = Intervals(
        x=x,
        x_before=np.vstack([x[:1], x[:-1]]),
        x_after=np.vstack([x[1:], x[-1:]]),
        references=timeline.references,
        middle_us=(starts + timeline.instants_us[1:]) // 2,
        hours=timeline.hours,
        load=load,
        silent=np.array([silence.course for silence in silences]).reshape(-1, starts.size).T,
    )
    day = starts // DAY_US
    edges = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
    columns = terms(zone, customers, side, beliefs, data)
    target = timeline.references.sum(axis=1) - total
    compared = tuple(_compared(customers, comparisons, int(day[0]), int(day[-1])))
    edges_of_days = (*(int(edge) for edge in edges), starts.size)
    return History(timeline, columns, target, load, edges_of_days, tuple(silences), compared)


def _compared(
    customers: Sequence[MemberSeries], comparisons: Sequence[Comparison], first_day: int, last_day: int
) -> Iterator[tuple[int, int, float, float]]:
    """Comparisons as measurements of d = 1/(1 + e) − 1 on the day on which they ended, at the earliest the first."""
    columns = {member.meter_id: i for i, member in enumerate(customers)}
    for one in comparisons:
        day = max((one.end_us - 1) // DAY_US, first_day)
        if one.meter_id in columns and day <= last_day and one.error_pct > -100:
            ratio = 1 / (1 + one.error_pct / 100)
            yield day - first_day, columns[one.meter_id], ratio - 1, one.std_pct / 100 * ratio**2


def day_rows(past: History, day: int) -> DayRows:
    """What the covariance of one day depends on."""
    first, last = past.edges[day], past.edges[day + 1]
    line = past.timeline
    gaps = [
        replace(gap, first=gap.first - first, last=gap.last - first)
        for gap in line.gaps
        if gap.first < last and gap.last > first
    ]
    relative = line.customers[first:last].sum(axis=1) / past.load
    return DayRows(line.usable[first:last], relative, line.instant_variance[first : last + 1], gaps)


def unrest(block: DayBlock, terms: Floats) -> float:
    """Mean square of a day's whitened residuals: 1 where the noise is as expected. `terms` (p,) on that day."""
    if block.target.size == 0:
        return 1.0
    return float(np.mean((block.target - block.design @ terms) ** 2))


def day_block(past: History, day: int, shape: NoiseShape, guess: Floats | None = None) -> DayBlock:
    """One day whitened. With a `guess` of the terms (p,), rows that lie far off get the variance of a tail."""
    rows = slice(past.edges[day], past.edges[day + 1])
    facts = day_rows(past, day)
    used = facts.used
    design, target = past.terms.design[rows][used], past.target[rows][used]
    if not used.any():
        nothing = DayBlock(day, design, target, np.zeros(past.terms.sd.size), 0.0)
        return _with_comparisons(past, nothing)
    inflation = None
    if guess is not None:
        inflation = np.ones(used.size)
        sd = np.sqrt(np.diag(day_covariance(shape, facts)))
        inflation[used] = tail_inflation(target - design @ guess, sd)
    covariance = day_covariance(shape, facts, inflation)
    return _with_comparisons(past, whiten(day, design, target, covariance, lambda inverse: _bias(past, day, inverse)))


def _with_comparisons(past: History, block: DayBlock) -> DayBlock:
    """The block with a row for each direct comparison that ended on its day."""
    mine = [one for one in past.compared if one[0] == block.day]
    if not mine:
        return block
    rows = np.zeros((len(mine), past.terms.sd.size))
    rows[np.arange(len(mine)), [meter for _, meter, _, _ in mine]] = [1 / sd for *_, sd in mine]
    target = np.array([d / sd for *_, d, sd in mine])
    log_det = block.log_det + 2 * float(sum(np.log(sd) for *_, sd in mine))
    return replace(
        block,
        design=np.vstack([block.design, rows]),
        target=np.concatenate([block.target, target]),
        log_det=log_det,
    )


def _bias(past: History, day: int, inverse: Floats) -> Floats:
    """By how much quantisation lowers the columns' moments, (p,), given a day's inverse covariance V⁻¹.

    It is an error in the variables: the registers' deviations η stand in the columns as Dη, D the difference of
    successive instants, and with the opposite sign in the balance. The moment of x_i is too small by tr(V⁻¹DDᵀ)·var η_i
    (Fuller, Measurement Error Models, 1987, section 2.2), that of another column f by Σ_i ∂f/∂x_i times the same: 2·S/S̄
    for S²/S̄; for x_i·S/S̄ by S/S̄ of its own register and x_i/S̄ of every one; taken at the mean load. Were products
    left out, what is given back for x_i would be too much, for they hang together with it.
    """
    variance = past.timeline.resolution_variance[day]
    part = past.timeline.customers.mean(axis=0) / past.load
    diagonal, first, second = (float(np.trace(inverse, offset=k)) for k in (0, 1, 2))
    same = 2 * diagonal - 2 * first
    shifted = 2 * first - diagonal - second - same
    total = variance.sum() if past.timeline.references.shape[1] == 1 else 0.0
    by_group: dict[str, Floats | float] = {
        "meters": same * variance,
        "clocks": shifted * np.tile(variance, 2),
        "reference_clock": shifted * variance.sum(),
        "gains": same * total,
        "quadratic": 2 * same * variance.sum(),
        "places": same * (variance + part * variance.sum()),
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
    past: History, days: int, changes: Sequence[Change] = (), begun: NoiseShape | None = None, rounds: int = 3
) -> tuple[NoiseShape, Posterior, Sums]:
    """The noise's shape by the first `days` days of a history, and the terms that go with it, changes' columns last.

    The sums are those of the last round, under the shape before.
    """
    shape = begun or first_shape(past.load)
    posterior: Posterior | None = None
    prior = past.terms.prior.extended([change.sd for change in changes])
    for _ in range(rounds):
        blocks = with_changes([day_block(past, day, shape) for day in range(days)], changes)
        sums = sums_of(blocks, prior.sd.size)
        posterior = solve(sums, prior)
        shape = _shape_of(past, days, changes, posterior, 1 - posterior.used / max(sums.rows, 1)) or shape
    assert posterior is not None
    return shape, posterior, sums


def _shape_of(
    past: History, days: int, changes: Sequence[Change], posterior: Posterior, freedom: float
) -> NoiseShape | None:
    """The shape by the residuals of some of the calmer days; None where nothing was used."""
    residuals = {day: residual for day in range(days) if (residual := residual_of(past, day, changes, posterior)).size}
    if not residuals:
        return None
    wide = {day: float(np.mean(residual**2)) for day, residual in residuals.items()}
    calm = sorted(sorted(wide, key=lambda day: wide[day])[: -(-4 * len(wide) // 5)])
    chosen = [calm[round(i)] for i in np.linspace(0, len(calm) - 1, min(_SHAPE_DAYS, len(calm)))]
    rows = [day_rows(past, day) for day in chosen]
    return fit_shape([residuals[day] for day in chosen], rows, past.load, max(freedom, 0.1))


def residual_of(past: History, day: int, changes: Sequence[Change], posterior: Posterior) -> Floats:
    """What the terms leave of a day's used rows, (U,) [base unit]."""
    rows = slice(past.edges[day], past.edges[day + 1])
    used = past.timeline.usable[rows]
    return past.target[rows][used] - past.terms.design[rows][used] @ coefficients(past, day, changes, posterior)
