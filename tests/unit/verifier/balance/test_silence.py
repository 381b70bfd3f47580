"""Long silences are told from short ones and from meters that never registered."""

import numpy as np
import pytest

from verifier.balance.silence import long_silences
from verifier.balance.types import DAY_US, Floats

STEP_US = 1_800_000_000
INSTANTS = 50 * DAY_US + np.arange(48 * 10 + 1) * STEP_US


def use() -> Floats:
    """Ten days of three meters with a rhythm."""
    hour = np.arange(480) % 48 / 2
    rng = np.random.default_rng(1)
    return np.asarray((0.2 + 0.1 * np.cos(hour * np.pi / 12))[:, None] * rng.uniform(0.5, 1.5, (480, 3)))


def test_a_silence_goes_with_the_meters_usual_course() -> None:
    x = use()
    usual = x[: 48 * 7, 1].reshape(7, 48).mean(axis=0)
    x[48 * 7 :, 1] = 0.0
    (one,) = long_silences(x, INSTANTS, 480)
    assert (one.meter, one.first, one.last) == (1, 48 * 7, 480)
    np.testing.assert_allclose(one.course[48 * 7 : 48 * 8], usual, rtol=0.2)
    assert one.course[48 * 7 : 48 * 8].sum() == pytest.approx(usual.sum(), rel=0.01)
    assert np.all(one.course[: 48 * 7] == 0)


@pytest.mark.parametrize(("hours", "seen"), [(19.5, False), (20, True)])
def test_a_silence_is_looked_at_from_twenty_hours_on(hours: float, seen: bool) -> None:
    x = use()
    x[200 : 200 + int(hours * 2), 0] = 0.0
    assert bool(long_silences(x, INSTANTS, 480)) is seen


def test_the_last_and_the_longest_count_and_none_without_a_known_course() -> None:
    x = use()
    x[100:150, 0] = 0.0
    x[200:280, 0] = 0.0
    x[300:360, 0] = 0.0
    x[:, 1] = 0.0
    x[20:100, 2] = 0.0  # before, less than 40 h were seen
    found = long_silences(x, INSTANTS, 480)
    assert [(one.meter, one.first, one.last) for one in found] == [(0, 200, 280), (0, 300, 360)]


def test_a_silence_is_seen_by_what_lies_before_and_goes_on_after() -> None:
    x = use()
    x[300:360, 0] = 0.0
    assert not long_silences(x, INSTANTS, 339)
    (one,) = long_silences(x, INSTANTS, 340)
    assert (one.first, one.last) == (300, 360)
    assert np.all(one.course[340:360] > 0)
