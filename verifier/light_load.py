"""A meter's week at light load: how often small loads were registered, what never stopped, what never varied. Pure.

A digest rests on the readings about its week alone, so that conclusions drawn from a meter's digests are a function of
its readings, in whatever order they came.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.load_marks import water_marks
from metrology.quantities import Medium
from metrology.regulation import get_regulation, rule_value
from verifier.comparison_budget import CumulativeSeries
from verifier.light_load_settings import LightLoadSettings
from verifier.site_test import load_profile

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
MONDAY_US = 4 * DAY_US  # 1970-01-05: weeks begin on Mondays, 00:00 UTC
_LENGTHS_S = (900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 86_400)  # of blocks: divisors of a day
BANDS = (0.125, 0.25, 0.5, 1.0)  # upper ends of the bands of small loads, in parts of what counts as small
_CLOCK_SLACK_S = 120.0  # readings' times jitter by as much when a constant rate is looked for
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class SmallLoads:
    """What counts as small for a meter [kW or m3/h, after its multiplier]; `start_rate` is 0 but for electricity."""

    small_rate: float
    start_rate: float


@dataclass(frozen=True)
class WeekDigest:
    """One week [start_us, start_us + WEEK_US) of a meter.

    Of its blocks of `block_s`, `known` ones were read at both ends, `large` ones had a large mean load. Of the days
    with at least one of these (somebody was there), `idle` blocks had no load and those of `small` a small one, by
    BANDS, each by itself. `quantity`, `light_quantity_least` and `light_quantity_most` [base unit]: registered in all;
    at small loads for certain, that which flowed all day long; and at small mean loads, which several short large ones
    have as well. `least_rate`: for each day the least mean rate over any stretch of `night_window_s` [base unit/h],
    None where readings lack. `steady_rate`: the one constant rate of the week, None where there is none. `first_us`,
    `last_us`: the week's first and last reading.
    """

    start_us: int
    block_s: int
    known: int
    large: int
    idle: int
    small: tuple[int, ...]
    quantity: float
    light_quantity_least: float
    light_quantity_most: float
    least_rate: tuple[float | None, ...]
    steady_rate: float | None
    first_us: int
    last_us: int

    @property
    def known_share(self) -> float:
        """The known blocks' share of the week."""
        return self.known * self.block_s * 1e6 / WEEK_US


def small_loads(
    medium: Medium, model: str, multiplier: float, regulation: str, settings: LightLoadSettings
) -> SmallLoads:
    """From the marks of the meter's kind: loads below I_tr, Q2 or Q_min, where limits are wider or none are stated.

    Q2 from Q3 and R by the regulation's ratios (OIML R 49-1, 4.1); loads of electricity at unity power factor.
    """
    own = settings.small_rate_by_model.get(model)
    start_kw = settings.electricity_i_st_a * settings.electricity_voltage_v / 1000
    if medium is Medium.ELECTRICITY:
        rate = settings.electricity_i_tr_a * settings.electricity_voltage_v / 1000
    elif medium is Medium.WATER:
        stated = get_regulation(regulation)
        ratios = (rule_value(stated, "q2_over_q1"), rule_value(stated, "q4_over_q3"))
        rate = float(water_marks(settings.water_q3_m3ph, settings.water_ratio_r, *ratios)["q2"])
    else:
        rate = settings.gas_q_min_m3ph
    start = start_kw * multiplier if medium is Medium.ELECTRICITY else 0.0
    return SmallLoads((own or rate) * multiplier, start)


def week_start(time_us: int) -> int:
    """The start of the week that holds a time [us since 1970]."""
    return (time_us - MONDAY_US) // WEEK_US * WEEK_US + MONDAY_US


def block_length_s(series: CumulativeSeries, small_rate: float, settings: LightLoadSettings) -> int | None:
    """The shortest block [s] between whose ends there are readings, and in which a small load can move the register
    twice; None if a day is not enough. The shorter, the better a slow draw is told from a short one."""
    if series.observed_us.size < 2:
        return None
    between_s = float(np.median(np.diff(series.observed_us))) / 1e6
    for length_s in _LENGTHS_S:
        moves = small_rate * length_s / 3600 >= 2 * series.resolution * (1 - _ROUNDING)
        if length_s >= max(settings.block_s, between_s * (1 - 0.01)) and moves:
            return length_s
    return None


def digest_week(
    series: CumulativeSeries, loads: SmallLoads, start_us: int, settings: LightLoadSettings
) -> WeekDigest | None:
    """The digest of a week from the accepted totals about it; None where nothing was read or the register is coarse.

    `series` may reach beyond the week by a day before and some hours after; what lies further is not looked at.
    """
    block_s = block_length_s(series, loads.small_rate, settings)
    inside = np.flatnonzero((series.observed_us >= start_us) & (series.observed_us < start_us + WEEK_US))
    if block_s is None or inside.size < 2:
        return None
    rates = _block_rates(series, start_us, block_s)
    known, large, idle, small = _counts(rates, loads.small_rate)
    week = CumulativeSeries(series.observed_us[inside], series.total[inside], series.resolution)
    profile = load_profile(week, start_us, start_us + WEEK_US)
    quantity = float(week.total[-1] - week.total[0])
    light = 0.0 if profile is None else float(profile.share[profile.rate < loads.small_rate].sum()) * quantity
    least = tuple(_least_rate(series, start_us + day * DAY_US, settings) for day in range(7))
    base = sum(rate * 24 for rate in least if rate is not None and rate < loads.small_rate)
    return WeekDigest(
        start_us=start_us,
        block_s=block_s,
        known=known,
        large=large,
        idle=idle,
        small=small,
        quantity=quantity,
        light_quantity_least=min(base, light),
        light_quantity_most=light,
        least_rate=least,
        steady_rate=_steady_rate(week, loads.start_rate, start_us, settings),
        first_us=int(week.observed_us[0]),
        last_us=int(week.observed_us[-1]),
    )


def _block_rates(series: CumulativeSeries, start_us: int, block_s: int) -> NDArray[np.float64]:
    """The mean rate of each block [base unit/h], shape (7, blocks a day); 0 where the register stood, NaN if not known.

    A block runs from the reading nearest to its start to that nearest to its end: nothing is interpolated, so that a
    step of the register is not spread over two blocks. It is known if those lie 0.5 to 1.5 block lengths apart.
    """
    step_us = block_s * 1_000_000
    edges = np.arange(start_us, start_us + WEEK_US + 1, step_us, dtype=np.int64)
    after = np.clip(np.searchsorted(series.observed_us, edges), 1, series.observed_us.size - 1)
    closer = edges - series.observed_us[after - 1] <= series.observed_us[after] - edges
    near = np.where(closer, after - 1, after)
    off = np.abs(series.observed_us[near] - edges) <= step_us / 2
    length_us = np.diff(series.observed_us[near])
    known = off[:-1] & off[1:] & (length_us >= 0.5 * step_us) & (length_us <= 1.5 * step_us)
    quantity = np.diff(series.total[near])
    quantity[quantity < series.resolution / 2] = 0.0
    rate = np.where(known, quantity / np.maximum(length_us / HOUR_US, 1e-9), np.nan)
    return rate.reshape(7, -1)


def _counts(rates: NDArray[np.float64], small_rate: float) -> tuple[int, int, int, tuple[int, ...]]:
    """Known and large blocks of the week; idle and small ones of the days in use."""
    is_large = rates > small_rate * (1 + _ROUNDING)
    quiet = rates[is_large.any(axis=1)]
    quiet = quiet[quiet <= small_rate * (1 + _ROUNDING)]
    band = np.searchsorted(np.array(BANDS) * small_rate * (1 + _ROUNDING), quiet[quiet > 0])
    small = tuple(np.bincount(band, minlength=len(BANDS)).tolist())
    return int(np.sum(~np.isnan(rates))), int(np.sum(is_large)), int(np.sum(quiet == 0)), small


def _least_rate(series: CumulativeSeries, day_us: int, settings: LightLoadSettings) -> float | None:
    """The least mean rate over any stretch that begins in a day; 0 where the register once stood for so long.

    Counted from reading to reading: each stretch is the shortest of at least `night_window_s`. None where two readings
    of the day lie further apart than that, or too little was read after it.
    """
    window_us = settings.night_window_s * 1_000_000
    first = int(np.searchsorted(series.observed_us, day_us))
    last = int(np.searchsorted(series.observed_us, day_us + DAY_US))
    ends = np.searchsorted(series.observed_us, series.observed_us[first:last] + window_us)
    if last - first < 2 or int(ends[-1]) >= series.observed_us.size:
        return None
    times = series.observed_us[first : int(ends[-1]) + 1]
    if times[0] - day_us > window_us or np.max(np.diff(times)) > window_us:
        return None
    length_h = (series.observed_us[ends] - series.observed_us[first:last]) / HOUR_US
    return float(np.min((series.total[ends] - series.total[first:last]) / length_h))


def _steady_rate(week: CumulativeSeries, start_rate: float, start_us: int, settings: LightLoadSettings) -> float | None:
    """The constant rate below `start_rate` that explains every reading of a whole week; None where there is none.

    A register that counts at the rate r shows a + r t to within its resolution. The narrowest band about a sloping
    line that holds all readings is convex in r, so a search by thirds finds it.
    """
    hours = (week.observed_us - start_us) / HOUR_US
    gap_h = settings.night_window_s / 3600
    rose = float(week.total[-1] - week.total[0])
    steps = int(np.sum(np.diff(week.total) > 0))
    whole = hours[0] <= gap_h and hours[-1] >= WEEK_US / HOUR_US - gap_h and np.max(np.diff(hours)) <= gap_h
    rate = rose / float(hours[-1] - hours[0])
    if not whole or steps < settings.creep_steps_min or not 0 < rate <= start_rate:
        return None
    low, high = 0.5 * rate, 1.5 * rate
    for _ in range(60):
        third = (high - low) / 3
        if _band(week.total, hours, low + third) < _band(week.total, hours, high - third):
            high -= third
        else:
            low += third
    found = (low + high) / 2
    allowed = week.resolution * (1 + _ROUNDING) + found * _CLOCK_SLACK_S / 3600
    return found if _band(week.total, hours, found) <= allowed else None


def _band(total: NDArray[np.float64], hours: NDArray[np.float64], rate: float) -> float:
    return float(np.ptp(total - rate * hours))
