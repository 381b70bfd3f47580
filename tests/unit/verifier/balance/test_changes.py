"""Changes of a meter's error, each weighed against an explicit refit with one column more."""

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal

from verifier.balance.averaging import Averaged, ChangeBeliefs, ChangeSearch, candidate_days
from verifier.balance.changes import DRIFT, KINDS, SCALES, STEP, Change, course, scan, with_change_sums, with_changes
from verifier.balance.information import Prior, solve, sums_of, whiten
from verifier.balance.types import Floats

DAYS, ROWS, SIZE, METERS = 7, 7, 5, 3  # so few days are all candidates
PRIOR = Prior(np.array([0.01, 0.0, -0.01, 0.0, 0.1]), np.array([0.02, 0.02, 0.02, 0.1, 0.5]), 0.01, METERS)


class Days:
    """Seven days of raw rows with their dense covariance, and the same as blocks; meter 1 stepped on day 3."""

    def __init__(self, step: float) -> None:
        rng = np.random.default_rng(11)
        self.a = rng.gamma(1.0, 1.0, (DAYS * ROWS, SIZE))
        parts = []
        for _ in range(DAYS):
            root = 0.03 * (np.eye(ROWS) + 0.2 * rng.normal(size=(ROWS, ROWS)))
            parts.append(root @ root.T)
        self.v = np.asarray(scipy.linalg.block_diag(*parts))
        self.day = np.repeat(np.arange(DAYS), ROWS)
        noise = np.linalg.cholesky(self.v) @ rng.normal(size=self.day.size)
        true = np.array([0.01, -0.02, 0.0, 0.05, 0.3])
        self.y = self.a @ true + step * (self.day >= 3) * self.a[:, 1] + noise
        self.blocks = [self._block(day, parts[day]) for day in range(DAYS)]
        self.posterior = solve(sums_of(self.blocks, SIZE), PRIOR)

    def _block(self, day: int, v: Floats):  # type: ignore[no-untyped-def]
        rows = self.day == day
        return whiten(day, self.a[rows], self.y[rows], v, lambda inverse: np.zeros(SIZE))

    def column(self, change: Change) -> Floats:
        """A change's column written out: 1, or the share of 30 days gone by the day's middle, times the meter's."""
        since = self.day + 0.5 - change.day
        f = (since > 0) * (1.0 if change.kind == STEP else since / 30)
        return np.asarray(f * self.a[:, change.meter])

    def refit(self, changes: list[Change]) -> tuple[Floats, Floats, float]:
        """Mean, covariance and log density with columns for changes, by dense algebra under the scale without them."""
        a = np.column_stack([self.a, *(self.column(change) for change in changes)])
        p = np.diag(np.concatenate([PRIOR.sd, [change.sd for change in changes]]) ** 2)
        p[:METERS, :METERS] += PRIOR.common_sd**2
        mu = np.concatenate([PRIOR.mean, np.zeros(len(changes))])
        v = self.v * self.posterior.scale
        gain = p @ a.T @ np.linalg.inv(a @ p @ a.T + v)
        density = float(multivariate_normal(a @ mu, a @ p @ a.T + v).logpdf(self.y))
        return mu + gain @ (self.y - a @ mu), p - gain @ a @ p, density


@pytest.fixture(scope="module")
def some() -> Days:
    return Days(0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("day", [0, 3, 5, 6])
def test_factors_are_ratios_of_the_datas_densities(some: Days, kind: int, day: int) -> None:
    table = scan(some.blocks, some.posterior, list(range(DAYS)), np.arange(SIZE))
    factors = table.log_factors()
    *_, without = some.refit([])
    for meter in range(SIZE):
        for place, sd in enumerate(SCALES):
            *_, density = some.refit([Change(meter, day, kind, sd)])
            assert factors[day, kind, place, meter] == pytest.approx(density - without, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_size_and_shadow_of_a_change_are_those_of_the_refit(some: Days, kind: int) -> None:
    """δ's posterior from q and b, and the meter's own coefficient, which gives way by the shadow times δ."""
    table = scan(some.blocks, some.posterior, [3], np.arange(METERS))
    for meter in range(METERS):
        mean, covariance, _ = some.refit([Change(meter, 3, kind, 0.16)])
        q, b = table.information[0, kind, meter], table.score[0, kind, meter]
        variance = 0.16**2 / (1 + q * 0.16**2)
        assert variance == pytest.approx(covariance[-1, -1], rel=1e-6)
        assert b * variance == pytest.approx(mean[-1], rel=1e-5, abs=1e-9)
        own = some.posterior.mean[meter] - table.shadow[0, kind, meter] * b * variance
        assert own == pytest.approx(mean[meter], rel=1e-5, abs=1e-9)


def test_blocks_with_changes_are_the_rows_with_columns_more(some: Days) -> None:
    changes = [Change(1, 3, STEP, 0.04), Change(2, 5, DRIFT, 0.16)]
    sums = sums_of(with_changes(some.blocks, changes), SIZE + 2)
    bordered = with_change_sums(sums_of(some.blocks, SIZE), some.blocks, changes)
    a = np.column_stack([some.a, *(some.column(change) for change in changes)])
    weight = np.linalg.inv(some.v)
    np.testing.assert_allclose(sums.gram, a.T @ weight @ a, rtol=1e-8)
    np.testing.assert_allclose(sums.moment, a.T @ weight @ some.y, rtol=1e-8)
    np.testing.assert_allclose(bordered.gram, a.T @ weight @ a, rtol=1e-8)
    np.testing.assert_allclose(bordered.moment, a.T @ weight @ some.y, rtol=1e-8)


def test_the_course_at_the_end_of_the_last_day(some: Days) -> None:
    table = scan(some.blocks, some.posterior, [2, 6], np.arange(1))
    np.testing.assert_allclose(table.course, [[1, 5 / 30], [1, 1 / 30]])
    assert course(DRIFT, np.array(15.0)) == 0.5
    assert course(STEP, np.array(-0.5)) == 0


@pytest.mark.parametrize("step", [0.0, 0.02, 0.1])
def test_averaged_errors_are_the_mixture_of_all_refits(step: float) -> None:
    """Every day, kind and scale refitted by dense algebra, weighed by density and prior, put side by side."""
    some = Days(step)
    beliefs = ChangeBeliefs(0.02, 1e-3, 2)
    search = ChangeSearch(some.blocks, sums_of(some.blocks, SIZE), PRIOR, np.arange(METERS), METERS, beliefs)
    changes, _, averaged = search.run([])
    assert [change.meter for change in changes] == ([1] if step == 0.1 else [])
    mean, covariance, density = some.refit([])
    weights, means, variances, days = [0.0], [mean[1]], [covariance[1, 1]], [-1]
    for day in range(DAYS):
        for kind in KINDS:
            at_end = 1.0 if kind == STEP else (DAYS - day) / 30
            prior = 0.02 if (day, kind) == (0, STEP) else 1e-3 / 2
            for sd in SCALES:
                m, c, with_it = some.refit([Change(1, day, kind, sd)])
                weights.append(with_it - density + np.log(prior / len(SCALES)))
                means.append(m[1] + at_end * m[-1])
                variances.append(c[1, 1] + 2 * at_end * c[1, -1] + at_end**2 * c[-1, -1])
                days.append(day)
    weight = np.exp(np.array(weights) - np.max(weights))
    weight /= weight.sum()
    expected = float(weight @ means)
    sd = float(np.sqrt(weight @ (np.array(variances) + (np.array(means) - expected) ** 2)))
    assert averaged[1].moments == pytest.approx((expected, sd), rel=1e-3)
    assert averaged[1].p_change == pytest.approx(1 - weight[0], abs=1e-6)
    assert averaged[1].change_day == (3 if step == 0.1 else None)


def test_probability_below_a_limit_is_that_of_the_mixture() -> None:
    one = Averaged(np.array([0.25, 0.75]), np.array([0.0, 0.03]), np.array([0.01, 0.01]), 0.75, 2)
    assert one.below(0.03) == pytest.approx(0.25 * 0.9986501 + 0.75 * 0.5, abs=1e-6)
    assert one.moments[0] == pytest.approx(0.0225)
    draws = np.random.default_rng(3).normal([0.0, 0.03], 0.01, (200_000, 2))
    mixed = np.where(np.random.default_rng(4).uniform(size=200_000) < 0.25, draws[:, 0], draws[:, 1])
    assert one.moments[1] == pytest.approx(mixed.std(), rel=0.01)


@pytest.mark.parametrize("count", [1, 4, 11, 12, 50, 112, 366])
def test_candidate_days_are_dense_near_the_end_and_sparse_before(count: int) -> None:
    days = candidate_days(count)
    assert days == sorted(set(days))
    assert days[0] == 0
    assert set(range(max(count - 6, 0), count)) <= set(days)
    assert max(days) == count - 1
    back = count - np.array(days)
    spans = -np.diff(back)
    assert np.all(spans <= np.maximum(0.25 * back[:-1], 1.5))  # no change lies far, for its age, from a candidate
    assert len(days) < 50
