"""Gas zones: households with diaphragm meters at ambient conditions behind a reference at base conditions.

The model, in the order of its steps:

1. *Weather.* Ambient temperature: a yearly course about `mean_degc`, a daily one, and weather that wanders over days;
   atmospheric pressure wanders about its mean for the altitude.
2. *Use*, energy first: hobs and water heaters run as people do, boilers cycle with the heating demand below 15 degC. It
   is a volume at base conditions (20 degC, 1013.25 hPa), as a burner needs energy and not litres.
3. *At the meter* the volume is V = V_b · (p_b / p) · (T / T_b) (ideal gas; the compressibility of natural gas differs
   from 1 by 0.2 % here and cancels between near conditions). p is the atmosphere plus 20 hPa of supply pressure. T is
   the ambient temperature, lagged by two hours, for meters outdoors; indoors it is pulled toward 19 degC. Diaphragm
   meters count that volume times their error; their dials are not converted.
4. *The reference* measures at base conditions (a converter): the sum of all base volumes and a small constant leak.
"""

from dataclasses import dataclass

import numpy as np

from metrology.quantities import Medium
from zones.case import START_US, Side, UnmeteredTruth, ZoneCase, zone_name
from zones.course import Course, Floats, from_events, from_rates
from zones.injection import DAY_S, Injection, draw_errors
from zones.metering import Flows, ZonePlan, metered

BASE_K, BASE_HPA, SUPPLY_HPA = 293.15, 1013.25, 20.0
KWH_PER_M3 = 10.0  # of natural gas at base conditions, for boilers


@dataclass(frozen=True)
class GasPlan:
    """`indoor_share` of the meters hang indoors, which nobody knows; weather about `mean_degc` at the start."""

    customers: int = 40
    indoor_share: float = 0.0
    mean_degc: float = 8.0
    season_k: float = 8.0  # the mean rises so much over the case
    atmosphere_hpa: float = 980.0
    leak_share: float = 0.002


@dataclass(frozen=True)
class Weather:
    """By hour: its middle [s], ambient temperature [degC], atmospheric pressure [hPa]."""

    middle_s: Floats
    ambient_degc: Floats
    atmosphere_hpa: Floats


def gas_zone(
    zone_class: str, seed: int, plan: GasPlan, injection: Injection, interval_s: int = 3600, days: int = 90
) -> ZoneCase:
    """The zone: registers of customers at metering conditions [m3], the reference at base conditions [m3]."""
    rng = np.random.default_rng([seed, plan.customers, interval_s, 4])
    weather = make_weather(plan, days, rng)
    count = plan.customers
    base = [_household(weather, days, rng) for _ in range(count + injection.unlisted + injection.thefts)]
    foreign_base = [_household(weather, days, rng) for _ in range(injection.foreign)]
    errors = draw_errors(count, injection, days, rng)
    outdoor = np.where(rng.random(count) < plan.indoor_share, 0.25, 1.0)
    here = [
        at_meter(one, weather, float(o), rng.normal(0.0, 0.5)) for one, o in zip(base[:count], outdoor, strict=True)
    ]
    registered = [error.registered(one) for one, error in zip(here, errors, strict=True)]
    unmetered = []
    for k, course in enumerate(base[count:]):
        begin = round(rng.uniform(0.25, 0.6) * days * 24) * 3600.0 if k >= injection.unlisted else 0.0
        shown = course.since(begin) if begin else course
        mean = float(shown.at(np.array([days * DAY_S]))[0]) / ((days * DAY_S - begin) / 3600.0)
        kind = "theft" if begin else "unlisted"
        unmetered.append((UnmeteredTruth(kind, START_US + round(begin * 1e6), mean), shown))
    inflow_m3 = sum(float(c.total[-1]) for c in base)
    leak = from_rates(np.array([0.0, days * DAY_S]), np.array([plan.leak_share * inflow_m3 / (days * DAY_S)]))
    side = Side(
        conditions_us=START_US + np.round(weather.middle_s * 1e6).astype(np.int64),
        temperature_degc=weather.ambient_degc + rng.normal(0.0, 0.2, weather.middle_s.size),
        atmospheric_hpa=weather.atmosphere_hpa + rng.normal(0.0, 0.3, weather.middle_s.size),
    )
    foreign = [at_meter(one, weather, 1.0, 0.0) for one in foreign_base]
    flows = Flows(base[:count], leak, unmetered, foreign, registered, here, side=side, made_of="documented gas model")
    zone = ZonePlan(zone_name(zone_class, seed), zone_class, Medium.GAS, interval_s, days, injection)
    return metered(zone, flows, errors, rng)


def at_meter(base: Course, weather: Weather, outdoor: float, offset_k: float) -> Course:
    """A base volume [m3] as volume at the meter: the weight `outdoor` of the lagged ambient against 19 degC."""
    hours = 2.0
    kernel = np.exp(-np.arange(12) / hours)
    padded = np.concatenate([np.full(11, weather.ambient_degc[0]), weather.ambient_degc])
    lagged = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    gas_k = 273.15 + outdoor * lagged + (1 - outdoor) * 19.0 + offset_k
    ratio = BASE_HPA / (weather.atmosphere_hpa + SUPPLY_HPA) * gas_k / BASE_K
    return base.times(lambda middle, _: np.interp(middle, weather.middle_s, ratio))


def make_weather(plan: GasPlan, days: int, rng: np.random.Generator) -> Weather:
    """Hourly weather over `days`."""
    hours = days * 24
    middle_s = 3600.0 * np.arange(hours) + 1800.0
    day = middle_s / DAY_S
    fronts = np.interp(day, np.arange(days + 2), _red(days + 2, 2.5, 4.0, rng))
    daily = 4.0 * np.exp(rng.normal(0.0, 0.4, days + 1))[day.astype(int)] * np.sin(2 * np.pi * (day - 9 / 24))
    ambient = plan.mean_degc + plan.season_k * (day / days - 0.5) + fronts + daily
    pressure = plan.atmosphere_hpa + np.interp(day, np.arange(days + 2), _red(days + 2, 7.0, 4.0, rng))
    return Weather(middle_s, ambient, pressure)


def _red(steps: int, sd: float, lasting: float, rng: np.random.Generator) -> Floats:
    """A first-order autoregression of standard deviation `sd` that forgets within `lasting` steps."""
    keep = np.exp(-1.0 / lasting)
    out = np.empty(steps)
    out[0] = rng.normal(0.0, sd)
    for k in range(1, steps):
        out[k] = keep * out[k - 1] + rng.normal(0.0, sd * np.sqrt(1 - keep**2))
    return out


def _household(weather: Weather, days: int, rng: np.random.Generator) -> Course:
    """Base volume [m3]: hob, water heater, and in half of the homes a boiler that cycles with the cold."""
    level = np.exp(rng.normal(0.0, 0.4))
    kinds = [(2.5, 0.25, 1200, (7, 12, 18)), (4.0, 2.0, 420, (7, 19, 21))]  # runs a day, m3/h, s, hours
    parts = []
    for runs, rate, lasts_s, hours in kinds:
        count = rng.poisson(runs * level * days)
        hour = (rng.choice(hours, count) + rng.normal(0.0, 1.3, count) + rng.normal(0.0, 1.0)) % 24
        away = rng.random(days) < 0.05
        day = rng.integers(0, days, count)
        keep = ~away[day]
        lasts = lasts_s * np.exp(rng.normal(0.0, 0.5, count))
        parts.append((DAY_S * day + 3600.0 * hour, lasts, np.full(count, rate * np.exp(rng.normal(0, 0.2))), keep))
    if rng.random() < 0.5:
        parts.append(_boiler(weather, days, rng))
    starts, lasts, rates = (np.concatenate([part[k][part[3]] for part in parts]) for k in range(3))
    return from_events(starts, lasts, 1000.0 * rates, days * DAY_S)  # m3/h over hours, as kW over hours


def _boiler(weather: Weather, days: int, rng: np.random.Generator):
    """Cycles of 15 to 40 min whose share of burning follows the heating demand, lowered at night."""
    cycle_s, power_kw = rng.uniform(900, 2400), rng.uniform(14, 24)
    loss_kw_per_k, room_lowered = rng.uniform(0.1, 0.3), rng.uniform(0.3, 0.9)
    starts = np.cumsum(cycle_s * rng.uniform(0.85, 1.15, int(days * DAY_S / cycle_s)))
    starts = starts[starts < days * DAY_S]
    cold_k = np.maximum(15.0 - np.interp(starts, weather.middle_s, weather.ambient_degc), 0.0)
    hour = starts % DAY_S / 3600.0
    asleep = (hour < rng.normal(6, 0.7)) | (hour > rng.normal(22.5, 0.7))
    duty = np.clip(loss_kw_per_k * cold_k * np.where(asleep, room_lowered, 1.0) / power_kw, 0.0, 0.95)
    duty = np.clip(duty * np.exp(rng.normal(0.0, 0.15, duty.size)), 0.0, 0.95)
    return starts, duty * cycle_s, np.full(starts.size, power_kw / KWH_PER_M3), duty > 0.02
