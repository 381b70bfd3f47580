"""Lost small loads: the stated probability of a false alarm holds, a raised starting flow is found, absence is not."""

from dataclasses import replace

import numpy as np
import pytest
from households import START, draws, register, week_of
from scipy import stats

from metrology.quantities import Medium
from verifier.light_load import WEEK_US, SmallLoads, digest_week
from verifier.light_load_findings import LightLoadMeter, evidence_times, light_load_findings
from verifier.light_load_settings import LightLoadSettings
from verifier.low_flow import fewer_small_loads, small_flow_evidence

SETTINGS = LightLoadSettings()
METER = LightLoadMeter(7, Medium.WATER, SmallLoads(0.05, 0.0))


def digests(series, weeks):
    found = [digest_week(series, METER.loads, START + week * WEEK_US, SETTINGS) for week in range(weeks)]
    return [one for one in found if one is not None]


def lost(weeks):
    return [one for one in light_load_findings(METER, weeks, SETTINGS) if one.kind == "low_flow_lost"]


def test_monte_carlo_the_probability_of_a_false_alarm_is_as_stated():
    """Meters whose weekly shares follow Beta distributions, drawn from the prior: the predictive p is uniform."""
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(500):
        mean, spread = rng.uniform(0, 1), np.exp(rng.uniform(np.log(10), np.log(2000)))
        shares = rng.beta(mean * spread, (1 - mean) * spread, 13)
        counts = rng.binomial(300, shares)
        evidence = small_flow_evidence(
            counts[:12], np.full(12, 300), int(counts[12]), 300, lost_share=0.5, lost_prior=1e-3
        )
        # The least counts are many at once where a share is near 0: the stated p is that of so few *or* fewer.
        p_values.append(evidence.p_false_alarm)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= level) <= level + 3 * np.sqrt(level / 500)
    assert np.mean(np.array(p_values) <= 0.5) > 0.35


def test_the_evidence_by_hand_where_the_share_is_known():
    """A very steady history is a binomial: P(K <= k) and the Bayes factor follow from scipy's."""
    small, blocks = np.full(400, 100), np.full(400, 250)
    found = small_flow_evidence(small, blocks, 30, 250, lost_share=0.5, lost_prior=0.5)
    assert found.share_before == 0.4
    assert found.share_now == 0.12
    # The spread's prior ends at 2000, so a little more than the binomial's is left.
    assert stats.binom.cdf(30, 250, 0.4) <= found.p_false_alarm < 1e-14
    odds = np.mean(stats.binom.pmf(30, 250, np.linspace(0, 0.2, 2001))) / stats.betabinom.pmf(30, 250, 800, 1200)
    assert 1 - found.p_lost == pytest.approx(1 / (1 + odds), rel=0.5, abs=1e-15)


@pytest.mark.parametrize("unsteady", [False, True])
def test_an_unsteady_history_needs_more(unsteady):
    rng = np.random.default_rng(4)
    shares = rng.uniform(0.05, 0.8, 12) if unsteady else np.full(12, 0.4)
    counts = rng.binomial(250, shares)
    found = small_flow_evidence(counts, np.full(12, 250), 20, 250, lost_share=0.5, lost_prior=1e-3)
    assert (found.p_false_alarm > 1e-4) is unsteady
    assert (found.p_lost > 0.95) is not unsteady


@pytest.fixture(scope="module")
def healthy():
    """Households over 30 weeks of quarter hours, each away for three of them."""
    return [draws(np.random.default_rng(seed), 30, trickles=2.0, away=(12, 13, 24)) for seed in range(24)]


def test_healthy_meters_of_households_that_go_away_give_no_alarm(healthy):
    """24 meters and some 20 looks each: at the stated probability not one in a hundred such fleets would have one."""
    assert [lost(digests(register(flow), 29)) for flow in healthy] == [[]] * 24


def test_a_starting_flow_that_rose_is_found_in_most_and_at_once(healthy):
    found, delays = 0, []
    for flow in healthy:
        weeks = digests(register(flow, starting_m3ph=0.03, lost_from=18), 29)
        told = [one for one in lost(weeks) if week_of(one.starts_us) >= 16]
        found += bool(told)
        delays += [week_of(int(told[0].detail["told_us"])) - 18] if told else []
    assert found >= 0.75 * len(healthy)
    assert np.median(delays) == SETTINGS.window_weeks


def test_monte_carlo_a_smaller_fall_over_weeks_is_no_more_often_false_than_stated():
    """Weeks that are alike: the mean of six counts as fewer than six, so the stated probability is on the safe side."""
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(2000):
        share = np.clip(rng.normal(rng.uniform(0.3, 0.7), 0.06, 22), 0, 1)
        found = fewer_small_loads(share[:16], np.full(16, 120), share[16:], lost_share=0.8, lost_prior=1e-3)
        p_values.append(found.p_false_alarm)
    for level in (0.005, 0.02, 0.1):
        assert np.mean(np.array(p_values) <= level) <= level + 3 * np.sqrt(level / 2000)
    assert np.mean(np.array(p_values) <= 0.1) > 0.05


def test_a_smaller_fall_by_hand():
    share = 0.5 + 0.1 * np.tile([-1.0, 1.0], 8)
    found = fewer_small_loads(share, np.full(16, 120), np.full(1, 0.2), lost_share=0.8, lost_prior=0.5)
    scale = np.sqrt(np.var(share, ddof=1) * (1 + 1 / 16))
    assert (found.share_before, found.share_now) == (pytest.approx(0.5), pytest.approx(0.2))
    assert found.p_false_alarm == pytest.approx(stats.t.cdf(-0.3 / scale, 15))
    lost = np.mean(stats.t.pdf((0.2 - np.linspace(0, 0.4, 4001)) / scale, 15))
    assert found.p_lost == pytest.approx(lost / (lost + stats.t.pdf(-0.3 / scale, 15)), rel=0.01)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_history_that_never_varied_is_no_certainty(share):
    found = fewer_small_loads(np.full(12, share), np.full(12, 100), np.full(6, share), lost_share=0.8, lost_prior=1e-3)
    assert found.p_false_alarm == pytest.approx(0.5)
    assert found.p_lost < 0.01


def test_by_the_hour_a_smaller_fall_is_found_over_more_weeks(healthy):
    """In an hour a slow draw looks like a short one, so only a part of the small blocks goes away."""
    hourly = [register(flow, minutes=60) for flow in healthy]
    assert [lost(digests(series, 29)) for series in hourly] == [[]] * 24
    faulty = [register(flow, minutes=60, starting_m3ph=0.03, lost_from=18) for flow in healthy]
    told = [one[0] for one in (lost(digests(series, 29)) for series in faulty) if one]
    assert len(told) >= 0.6 * len(healthy)
    assert all(week_of(int(one.detail["told_us"])) > 18 for one in told)
    assert {one.detail["window_weeks"] for one in told} == {SETTINGS.coarse_window_weeks}


def test_by_the_hour_a_loss_ends_with_a_week_as_before():
    flow = draws(np.random.default_rng(3), 40, trickles=3.0)
    half = register(flow, minutes=60, starting_m3ph=0.03, lost_from=18).total
    well, at = register(flow, minutes=60), 30 * 7 * 24
    mended = replace(well, total=np.concatenate([half[:at], half[at] + well.total[at:] - well.total[at]]))
    [one] = lost(digests(mended, 39))
    assert not one.detail["ongoing"]
    assert 30 <= week_of(one.ends_us) <= 34


def test_gas_by_the_hour_is_not_judged_by_a_smaller_fall(healthy):
    other = LightLoadMeter(7, Medium.GAS, METER.loads)
    series = register(healthy[0], minutes=60, starting_m3ph=0.03, lost_from=18)
    assert [one for one in light_load_findings(other, digests(series, 29), SETTINGS) if "lost" in one.kind] == []


def test_a_finding_says_what_it_rests_on_and_ends_when_the_loads_come_back():
    flow = draws(np.random.default_rng(3), 34, trickles=1.8)
    weeks = digests(register(flow, starting_m3ph=0.03, lost_from=16), 26)
    [one] = lost(weeks)
    assert (one.severity, one.meter_id, week_of(one.starts_us)) == ("warning", 7, 16)
    assert one.detail["ongoing"]
    assert one.detail["p_low_flow_lost"] > 0.95
    assert one.detail["p_false_alarm"] <= 1e-5
    assert one.detail["small_share_now_pct"] < 0.5 * one.detail["small_share_before_pct"]
    assert one.detail["history_weeks"] >= 8
    assert [part for part, _ in evidence_times(one, weeks)] == ["before", "start", "told"]
    assert lost(weeks[:22]) == [one]  # as it was told, while it goes on

    half = register(flow, starting_m3ph=0.03, lost_from=16).total
    well = register(flow)
    at = 24 * 7 * 96
    mended = replace(well, total=np.concatenate([half[:at], half[at] + well.total[at:] - well.total[at]]))
    [ended] = lost(digests(mended, 33))
    assert (week_of(ended.ends_us), ended.detail["ongoing"]) == (24, False)
    assert ended.starts_us == one.starts_us


def test_a_leak_that_was_mended_is_noted_but_not_a_warning():
    flow = draws(np.random.default_rng(5), 26, trickles=0.3, leak_m3ph=0.012)
    flow[16 * 7 * 1440 :] -= 0.012
    [one] = lost(digests(register(flow), 25))
    assert (one.severity, one.detail["never_stopped_before"]) == ("info", True)


def test_too_short_a_history_or_nobody_at_home_says_nothing():
    flow = draws(np.random.default_rng(6), 30, trickles=3.0, away=tuple(range(16, 30)))
    assert lost(digests(register(flow), 29)) == []
    flow = draws(np.random.default_rng(6), 30, trickles=3.0)
    assert lost(digests(register(flow, starting_m3ph=0.03, lost_from=6), 29)) == []
