"""What a zone's data alone say of its meters: true to its uncertainty, and the same whatever was believed before."""

from dataclasses import replace

import numpy as np
import pytest
from balance_zones import Made, days_of, make_zone
from numpy.testing import assert_allclose

from verifier.balance.types import MemberSeries, ZoneLikelihood
from verifier.balance.verdict import told_share


def likelihood_of(members: list[MemberSeries], days: int) -> ZoneLikelihood:
    told = days_of(members, [days])[0].likelihood
    assert told is not None
    return told


def test_true_errors_lie_where_the_likelihood_has_them_also_their_level() -> None:
    """θ's deviation from the estimate squares to N on average, that of its level to 1; the reference errs by 0.2 %."""
    squares, levels, rng = [], [], np.random.default_rng(1)
    for seed in range(12):
        zone = make_zone(Made(seed, days=14, meters=6, reference_gain_pct=rng.normal(0, 0.2)))
        told = likelihood_of(zone.members, 14)
        covariance = np.linalg.inv(told.information)
        off = covariance @ told.moment - zone.error_pct
        squares.append(off @ told.information @ off / 6)
        ones = np.ones(6)
        levels.append((ones @ told.information @ off) ** 2 / (ones @ told.information @ ones))
    assert 0.4 < np.mean(squares) < 1.6
    assert 0.2 < np.mean(levels) < 2.2


def test_prior_is_taken_out_again() -> None:
    zone = make_zone(Made(3, days=14, meters=6))
    other = [replace(member, prior_mean_pct=0.5, prior_sd_pct=0.9) for member in zone.members]
    one, two = likelihood_of(zone.members, 14), likelihood_of(other, 14)
    sd = np.sqrt(np.diag(np.linalg.inv(one.information)))
    means = [np.linalg.solve(told.information, told.moment) for told in (one, two)]
    assert np.all(np.abs(means[1] - means[0]) < 0.35 * sd)
    assert_allclose(np.sqrt(np.diag(np.linalg.inv(two.information))), sd, rtol=0.15)
    estimates = [days_of(members, [14])[0].assessments for members in (zone.members, other)]
    shifts = [b.error_pct - a.error_pct for a, b in zip(*estimates, strict=True)]  # type: ignore[operator]
    assert np.mean(shifts) > 3 * np.mean(means[1] - means[0])  # by which the estimates themselves follow the prior


def test_a_meter_wrong_from_the_first_day_counts_whole_and_one_that_changed_is_marked() -> None:
    first = likelihood_of(make_zone(Made(4, days=21, meters=8, errors_pct={2: 6.0}, begins_day=-1)).members, 21)
    later = likelihood_of(make_zone(Made(4, days=21, meters=8, errors_pct={2: 6.0}, begins_day=9)).members, 21)
    for told in (first, later):
        error_pct = np.linalg.solve(told.information, told.moment)[2]
        assert error_pct == pytest.approx(6.0, abs=0.8)
    assert not first.changed.any()
    assert later.changed.tolist() == [i == 2 for i in range(8)]


def test_a_zone_that_is_not_understood_tells_nothing() -> None:
    zone = make_zone(Made(5, days=14, meters=6, theft=0.4, theft_day=-1))
    day = days_of(zone.members, [14])[0]
    assert day.report.reasons
    assert day.likelihood is None


def test_references_of_zones_inside_are_no_example_of_the_customers() -> None:
    zone = make_zone(Made(6, days=10, meters=6))
    members = [replace(zone.members[0], passes_on=True), *zone.members[1:]]
    assert likelihood_of(members, 10).meter_ids == (1, 2, 3, 4, 5)


def test_a_zone_of_zones_alone_has_no_meters_of_its_own() -> None:
    zone = make_zone(Made(6, days=10, meters=6))
    members = [replace(member, passes_on=not member.is_reference) for member in zone.members]
    assert days_of(members, [10])[0].likelihood is None


def test_a_prior_learned_from_its_like_is_no_information_of_a_meters_own() -> None:
    """However narrow, it takes nothing from what the data told, nor does it stand for them."""
    member = make_zone(Made(8, days=1, meters=2)).members[0]
    plain = replace(member, prior_sd_pct=0.6)
    narrow = replace(member, prior_sd_pct=0.1, prior_common_pct=0.1, unpooled_sd_pct=0.6)
    data = 0.2**-2
    for one, variance in ((plain, 0.36), (narrow, 0.02)):
        assert told_share((data + 1 / variance) ** -0.5, one) == pytest.approx(0.36 / (0.36 + 0.04))
    assert told_share(0.15, narrow) == 0.0


def test_what_is_common_to_a_group_moves_a_zone_with_its_reference() -> None:
    """With a common error of 0.5 % allowed, the zone's level follows the reference more than with 0.02 %."""
    zone = make_zone(Made(7, days=10, meters=6, reference_gain_pct=0.5))
    levels = []
    for common_pct in (0.02, 0.5):
        members = [replace(m, prior_sd_pct=0.2, prior_common_pct=common_pct) for m in zone.members]
        levels.append(np.mean([one.error_pct for one in days_of(members, [10])[0].assessments]))
    assert levels[1] < levels[0] - 0.05
