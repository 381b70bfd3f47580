"""Pooled priors of fleets that are drawn: do they cover, and what do they rest on?"""

from dataclasses import replace

import numpy as np
import pytest
from fleets import Drawn, Recipe, draw, told
from numpy.testing import assert_allclose

from verifier.balance.fleet import Fleet, PooledPrior
from verifier.balance.hierarchy import solve_given
from verifier.balance.kinds_of_meters import MeterKind
from verifier.balance.pooling import pooled
from verifier.balance_settings import BalanceSettings

SETTINGS = BalanceSettings()
APART = BalanceSettings(pool_common_share=0.0)  # zones' references err each by itself
SCALE = 0.6


def fleet_of(drawn: Drawn, settings: BalanceSettings = SETTINGS) -> Fleet:
    fleet = pooled(drawn.zones, drawn.kinds, SCALE, settings)
    assert fleet is not None
    return fleet


def prior_of(fleet: Fleet, kind: MeterKind, zone: int | None = None) -> PooledPrior:
    prior = fleet.prior(kind, zone)
    assert prior is not None
    return prior


def deviations(drawn: Drawn, settings: BalanceSettings = SETTINGS) -> list[float]:
    """How far each meter's true error lies from its prior without its own zone, in standard deviations."""
    fleet, out = fleet_of(drawn, settings), []
    for place, zone in enumerate(drawn.zones):
        for i in zone.meter_ids:
            prior = prior_of(fleet, drawn.kinds[i], place)
            out.append((drawn.error_pct[i] - prior.mean_pct) / np.hypot(prior.sd_pct, prior.common_pct))
    return out


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(0, zones=8, meters=12),
        Recipe(0, zones=8, meters=12, lots=5, lot_sd=0.4, sds={"A": 0.15, "B": 0.5}),
        Recipe(0, zones=6, meters=15, gain_sd=0.8, trend=0.1),
        Recipe(0, zones=6, meters=15, noise_sd=1.0),
    ],
    ids=["types", "lots", "rough references and a trend", "little told"],
)
def test_priors_cover_the_errors_of_meters_that_they_have_not_seen(recipe: Recipe) -> None:
    z = np.concatenate([deviations(draw(replace(recipe, seed=seed)), APART) for seed in range(15)])
    assert 0.93 <= np.mean(np.abs(z) < 1.96) <= 0.98
    assert 0.63 <= np.mean(np.abs(z) < 1.0) <= 0.76


def test_without_the_share_of_all_zones_the_mean_still_covers_when_references_err_each_by_itself() -> None:
    """The zones' common parts are in the likelihood: with gains of 0.8 % and 6 zones the mean is known to 0.3 %."""
    z = []
    for seed in range(40):
        fleet = fleet_of(draw(Recipe(seed, zones=6, gain_sd=0.8, means={"A": 0.5}, sds={"A": 0.3})), APART)
        row = fleet.table()[0]
        assert 0.2 < row.mean_std_pct < 0.45
        z.append((row.mean_pct - 0.5) / row.mean_std_pct)
    assert np.std(z) == pytest.approx(1.0, abs=0.25)
    assert abs(np.mean(z)) < 0.4


def test_by_default_the_share_of_all_zones_widens_the_prior() -> None:
    drawn = draw(Recipe(0, zones=8, meters=12, gain_sd=0.4))
    assert np.mean(np.abs(deviations(drawn)) < 1.96) >= np.mean(np.abs(deviations(drawn, APART)) < 1.96)
    one, other = (prior_of(fleet_of(drawn, settings), drawn.kinds[0], 0) for settings in (SETTINGS, APART))
    assert one.common_pct**2 - other.common_pct**2 == pytest.approx(0.25 * (0.4**2 + 0.2**2 / 12), rel=1e-6)


def test_what_errs_alike_in_all_zones_does_not_average_out() -> None:
    """References of one make, all 0.15 % too low: the mean is off by it, and its prior says that it may be."""
    drawn = draw(Recipe(1, zones=60, means={"A": 0.0}, sds={"A": 0.2}, gain_sd=0.3, noise_sd=0.1))
    moved = [replace(zone, moment=zone.moment + zone.information @ np.full(len(zone), 0.15)) for zone in drawn.zones]
    fleet = fleet_of(replace(drawn, zones=moved))
    row = fleet.table()[0]
    assert row.mean_std_pct < 0.06
    assert abs(row.mean_pct - 0.0) < 2 * prior_of(fleet, MeterKind("A", "L0"), 0).common_pct


def test_own_zone_is_left_out_as_if_it_had_never_been_there() -> None:
    drawn = draw(Recipe(2, lots=3, lot_sd=0.3))
    fleet = fleet_of(drawn)
    rest = [data for place, data in enumerate(fleet.data) if place != 4]
    alone = solve_given(rest, fleet.groups.coefficients(0.5 * SCALE), fleet.solved.logs)
    kind = drawn.kinds[drawn.zones[4].meter_ids[0]]
    row = fleet.groups.row(kind)
    assert prior_of(fleet, kind, 4).mean_pct == pytest.approx(
        row @ np.linalg.solve(alone.total, alone.moment), abs=1e-6
    )
    assert prior_of(fleet, kind, 4).mean_pct != prior_of(fleet, kind, 5).mean_pct
    assert prior_of(fleet, kind, 4).zones == 11


def test_meters_far_from_their_like_do_not_move_or_widen_it() -> None:
    recipe = Recipe(3, zones=6, means={"A": 0.0}, sds={"A": 0.25})
    plain = fleet_of(draw(recipe)).table()[0]
    with_far = fleet_of(draw(replace(recipe, far={2: 30.0, 31: -12.0, 50: 4.0}))).table()[0]
    assert with_far.far >= 3
    assert with_far.mean_pct == pytest.approx(plain.mean_pct, abs=0.15)
    assert with_far.between_sd_pct < 1.3 * plain.between_sd_pct


def test_meters_that_changed_are_no_example() -> None:
    recipe = Recipe(4, zones=6, means={"A": 0.0}, sds={"A": 0.25})
    drawn = draw(replace(recipe, far=dict.fromkeys(range(0, 120, 5), 1.2)))
    changed = [replace(zone, changed=np.array([i % 5 == 0 for i in zone.meter_ids])) for zone in drawn.zones]
    row = fleet_of(replace(drawn, zones=changed)).table()[0]
    assert (row.meters, row.far) == (96, 0)
    assert row.between_sd_pct < 0.35


def test_a_type_of_few_meters_or_zones_has_no_prior_of_its_own() -> None:
    drawn = draw(Recipe(5, zones=4, meters=8, means={"A": 0.0}, sds={"A": 0.3}))
    kinds = {i: MeterKind("B", kind.lot) if i % 8 == 0 else kind for i, kind in drawn.kinds.items()}
    fleet = fleet_of(replace(drawn, kinds=kinds))
    assert fleet.prior(MeterKind("B", "L0")) is None
    assert fleet.prior(MeterKind("unheard of")) is None
    assert fleet.prior(MeterKind("A", "L0")) is not None
    assert fleet_of(drawn, BalanceSettings(pool_zones_min=5)).prior(MeterKind("A", "L0")) is None
    used = {row.model: row.used for row in fleet.table()}
    assert used == {"A": True, "B": False}


def test_a_small_type_is_drawn_to_the_spread_of_all() -> None:
    drawn = draw(Recipe(6, zones=10, means={"A": 0.0}, sds={"A": 0.4}))
    few = drawn.zones[0].meter_ids[:4]
    kinds = {i: MeterKind("B") if i in few else kind for i, kind in drawn.kinds.items()}
    spreads = {row.model: row.between_sd_pct for row in fleet_of(replace(drawn, kinds=kinds)).table()}
    assert 0.2 < spreads["B"] < 0.8


def test_no_prior_is_narrower_than_the_least() -> None:
    drawn = draw(Recipe(7, means={"A": 0.0}, sds={"A": 0.001}, noise_sd=0.02))
    assert prior_of(fleet_of(drawn), MeterKind("A", "L0")).sd_pct == SETTINGS.pool_sd_least_pct


def test_a_lot_that_was_never_seen_is_less_certain() -> None:
    fleet = fleet_of(draw(Recipe(8, lots=6, lot_sd=0.5)))
    assert prior_of(fleet, MeterKind("A", "new")).sd_pct > 1.2 * prior_of(fleet, MeterKind("A", "L0")).sd_pct


def test_age_is_a_trend_where_ages_spread_and_none_elsewhere() -> None:
    drawn = draw(Recipe(9, trend=0.15, zones=15))
    rows = fleet_of(drawn).table()
    assert [row.trend_pct_per_year for row in rows] == pytest.approx([0.15, 0.15], abs=0.03)
    old, new = (prior_of(fleet_of(drawn), MeterKind("A", "L0", age)) for age in (11.0, 1.0))
    assert old.mean_pct - new.mean_pct == pytest.approx(1.5, abs=0.3)
    alike = {i: replace(kind, age_years=5.0) for i, kind in drawn.kinds.items()}
    assert {row.trend_pct_per_year for row in fleet_of(replace(drawn, kinds=alike)).table()} == {0.0}


def test_shifting_all_errors_shifts_the_means_alone() -> None:
    drawn = draw(Recipe(10, lots=2, lot_sd=0.2))
    moved = [replace(zone, moment=zone.moment + zone.information @ np.full(len(zone), 1.7)) for zone in drawn.zones]
    one, other = fleet_of(drawn), fleet_of(replace(drawn, zones=moved))
    kind = drawn.kinds[0]
    assert prior_of(other, kind, 0).mean_pct == pytest.approx(prior_of(one, kind, 0).mean_pct + 1.7, abs=1e-3)
    assert prior_of(other, kind, 0).sd_pct == pytest.approx(prior_of(one, kind, 0).sd_pct, rel=1e-3)


def test_scaling_all_errors_scales_means_and_spreads() -> None:
    drawn = draw(Recipe(11, lots=2, lot_sd=0.2))
    wide = [replace(zone, information=zone.information / 9, moment=zone.moment / 3) for zone in drawn.zones]
    one = fleet_of(drawn)
    other = pooled(wide, drawn.kinds, 3 * SCALE, SETTINGS)
    assert other is not None
    kind = drawn.kinds[0]
    assert prior_of(other, kind, 0).mean_pct == pytest.approx(3 * prior_of(one, kind, 0).mean_pct, abs=2e-3)
    assert prior_of(other, kind, 0).sd_pct == pytest.approx(3 * prior_of(one, kind, 0).sd_pct, rel=1e-3)
    assert other.common_pct == pytest.approx(3 * one.common_pct)


def test_order_of_zones_and_of_meters_does_not_matter() -> None:
    drawn = draw(Recipe(12, lots=3, lot_sd=0.3))
    turned = []
    for zone in drawn.zones[::-1]:
        order = np.random.default_rng(0).permutation(len(zone))
        turned.append(
            replace(
                zone,
                meter_ids=tuple(zone.meter_ids[i] for i in order),
                information=zone.information[np.ix_(order, order)],
                moment=zone.moment[order],
                told=zone.told[order],
                changed=zone.changed[order],
            )
        )
    one, other = fleet_of(drawn), fleet_of(replace(drawn, zones=turned))
    assert_allclose([row.mean_pct for row in one.table()], [row.mean_pct for row in other.table()], atol=1e-4)
    kind = drawn.kinds[0]
    assert prior_of(one, kind, 0).sd_pct == pytest.approx(prior_of(other, kind, 11).sd_pct, rel=1e-4)


def test_zones_that_tell_of_no_meter_make_no_fleet() -> None:
    zone = told((0, 1), np.zeros(2), np.diag([1e6, 1e6]))
    assert pooled([zone], {0: MeterKind("A"), 1: MeterKind("A")}, SCALE, SETTINGS) is None
    assert pooled([], {}, SCALE, SETTINGS) is None
