"""A zone's meters judged over a window: the gate, sufficiency, and outcomes on zones with known errors."""

from dataclasses import replace

import numpy as np
import pytest

from metrology.conformity import Outcome
from metrology.errors import InvalidInputError
from metrology.quantities import Medium
from verifier.balance_settings import BalanceSettings
from verifier.limits import running_limit_pct
from verifier.zone_window import DAY_US, MemberSeries, MeterAssessment, ZoneFacts, assess_window

QUARTER_US = 900_000_000
ZONE = ZoneFacts(Medium.ELECTRICITY, 900, 0.3)
SETTINGS = BalanceSettings(loss_spread=0.0)  # these zones' losses are spread evenly


def make_members(
    seed: int, days: int, errors: dict[int, float], meters: int = 10, step_day: float = 0
) -> list[MemberSeries]:
    """Customers 1..N with the given errors from `step_day` on, and the reference 0; cumulative kWh in steps of 1 Wh."""
    rng = np.random.default_rng(seed)
    count = days * 96
    x = rng.lognormal(-1.5, 0.5, meters) * (0.3 + np.exp(rng.normal(0, 0.9, (count, meters))))
    error = np.tile(rng.normal(0, 0.004, meters), (count, 1))
    for meter, value in errors.items():
        error[int(step_day * 96) :, meter - 1] = value
    total = x.sum(axis=1)
    reference = (total + 0.02 * total.mean() + 0.01 * total**2 / total.mean()) * (1 + rng.normal(0, 0.001, count))
    columns = np.column_stack([reference, x * (1 + error)])
    registers = np.floor(np.vstack([np.zeros(meters + 1), np.cumsum(columns, axis=0)]) * 1000) / 1000
    at = np.arange(count + 1) * QUARTER_US
    return [
        MemberSeries(i, i == 0, 1, at, registers[:, i], 0.001, 0.6, None if i == 0 else 2.0) for i in range(meters + 1)
    ]


def assess(members: list[MemberSeries], days: int, earliest_us: int = 0) -> dict[int, MeterAssessment]:
    return {a.meter_id: a for a in assess_window(ZONE, members, earliest_us, days * DAY_US, SETTINGS)}


def codes(assessment: MeterAssessment) -> set[str]:
    return {reason.code for reason in assessment.reasons}


def test_a_meter_beyond_its_limit_is_nonconforming_and_healthy_ones_conform() -> None:
    result = assess(make_members(1, 14, {3: 0.05}), 14)
    assert result[3].outcome is Outcome.NONCONFORMING
    assert result[3].p_nonconforming is not None
    assert result[3].p_nonconforming > 0.999
    others = [a.outcome for meter, a in result.items() if meter != 3]
    assert others == [Outcome.CONFORMING] * 9


def test_an_error_near_the_limit_is_inconclusive() -> None:
    assert assess(make_members(2, 14, {3: 0.0201}), 14)[3].outcome is Outcome.INCONCLUSIVE


def test_a_change_within_the_window_shortens_it() -> None:
    result = assess(make_members(3, 28, {3: 0.06}, step_day=20), 28)
    assert result[3].outcome is Outcome.NONCONFORMING
    assert result[3].end_us - result[3].start_us <= 7 * DAY_US


def test_too_few_groups_or_readings_withhold_every_verdict() -> None:
    short = assess(make_members(4, 3, {}), 3)
    assert {a.outcome for a in short.values()} == {Outcome.WITHHELD}
    assert "insufficient_data" in codes(short[1])


def test_scattered_gaps_beyond_one_percent_withhold() -> None:
    members = make_members(5, 28, {})
    rng = np.random.default_rng(5)
    for i, member in enumerate(members):
        # Two successive readings at a time, so that no neighbour bridges the instant.
        lost = rng.choice(member.total.size - 1, size=int(0.02 * member.total.size), replace=False)
        keep = np.setdiff1d(np.arange(member.total.size), np.union1d(lost, lost + 1))
        members[i] = replace(member, observed_us=member.observed_us[keep], total=member.total[keep])
    result = assess(members, 28)
    assert {a.outcome for a in result.values()} == {Outcome.WITHHELD}
    assert any("collection" in reason.text for reason in result[1].reasons)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda members: members[1:], "no_reference"),
        (lambda members: [members[0], replace(members[1], faults=("stopped",)), *members[2:]], "member_at_fault"),
        (lambda members: [members[0], *members[2:]], "zone_refused"),  # a customer on no list looks like loss
    ],
)
def test_the_gate_is_shut(change, code) -> None:  # type: ignore[no-untyped-def]  # parametrised lambdas
    result = assess(change(make_members(6, 14, {})), 14)
    assert {a.outcome for a in result.values()} == {Outcome.WITHHELD}
    assert all(code in codes(a) for a in result.values())


def test_a_meter_without_a_limit_gets_an_estimate_and_no_verdict() -> None:
    members = make_members(7, 14, {})
    members[1] = replace(members[1], mpe_pct=None, no_limit="class 9 is unknown")
    result = assess(members, 14)
    assert result[1].outcome is Outcome.WITHHELD
    assert codes(result[1]) == {"no_limit"}
    assert result[1].error_pct is not None
    assert result[2].outcome is Outcome.CONFORMING


def test_limits_come_from_the_regulation() -> None:
    """JJF(冀)174-2020: 1.75 / 3.5 %; OIML R 49 and R 137 in service: twice the initial limits of the upper zone."""
    assert running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "1") == 1.75
    assert running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "A") == 3.5
    assert running_limit_pct("oiml-r49-2013", Medium.WATER, "2") == 4.0
    assert running_limit_pct("oiml-r137-2012", Medium.GAS, "1.5") == 3.0
    with pytest.raises(InvalidInputError, match="use one of 1, 2"):
        running_limit_pct("jjf-hebei-174-2020", Medium.ELECTRICITY, "0.5S")


def test_a_drift_that_its_mean_hides_is_not_called_conforming() -> None:
    """Two days of an error of 2.6 % at the end leave the window's mean well within 2 %."""
    result = assess(make_members(8, 14, {3: 0.026}, step_day=12), 14)
    assert result[3].outcome is not Outcome.CONFORMING
    assert abs(result[3].error_pct or 9.9) < 1.5
    assert codes(result[3]) & {"error_changing", "errors_changed"}


def test_a_meter_that_may_have_stopped_today_is_not_called_conforming() -> None:
    members = make_members(9, 14, {})
    total = members[2].total.copy()
    total[13 * 96 :] = total[13 * 96]
    # Nobody was at home either: the reference misses nothing.
    reference = members[0].total - (members[2].total - total)
    result = assess(
        [replace(members[0], total=reference), members[1], replace(members[2], total=total), *members[3:]], 14
    )
    assert codes(result[2]) == {"little_recent_use"}
    assert result[2].outcome is Outcome.INCONCLUSIVE


def test_unknown_places_in_the_network_and_clocks_widen_the_uncertainty() -> None:
    members = make_members(10, 14, {})

    def std(settings: BalanceSettings) -> float:
        return assess_window(ZONE, members, 0, 14 * DAY_US, settings)[0].std_pct or 0.0

    even = std(BalanceSettings(loss_spread=0.0, clock_sd_electricity_s=0.0))
    spread = std(BalanceSettings(loss_spread=0.5, clock_sd_electricity_s=0.0))
    clocks = std(BalanceSettings(loss_spread=0.0, clock_sd_electricity_s=9.0))
    assert spread > even
    # 9 s of 900 s is 1 % of loads that are not correlated in time.
    assert np.sqrt(clocks**2 - even**2) == pytest.approx(1.0, rel=0.1)
