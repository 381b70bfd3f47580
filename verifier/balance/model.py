"""The terms of a zone's balance as columns of a linear model, with what is believed of each before the data.

For interval t, with the customers' quantities x_it (indicated), their errors e_i and S_t = Σ_i x_it,

    reference_t − S_t = Σ_i x_it·d_i + clocks + gains + losses_t + noise_t,   d_i = 1/(1 + e_i) − 1,

to first order in small quantities. The columns of each group:

- `meters`: x_it, the errors.
- `clocks`: x_i,t+1 − x_it and x_i,t−1 − x_it: with x_it a filter of three taps whose gain is 1 + d_i. A meter that is
  read the share c of an interval too late shows x_it + c·(x_i,t+1 − x_it), too early the same with t − 1.
  `reference_clock`: the same of S_t.
- `gains`: the constant errors of the reference meters.
- `constant`: losses that always flow; `rhythm`: their daily course; `quadratic`: with the square of the load, of each
  phase where phases are known; `unbalance`: then with the square of what the neutral carries.
- `places`: what a customer causes in line losses beyond the mean, by its unknown place in the network: x_it·S_t, S_t
  on its own phase where that is known.
- `low_flow` (water): what a meter registers at low flow, beyond its mean share.
- `pressure`, `temperature`, `exposures` (gas): volumes at the customers' conditions against base conditions.
- `silent` (added by `history`): the usual course of meters that have fallen silent, 1 if they stopped.
- `network` and `network_places`: with the resistance r_ij of the path that two customers share the line losses are
  Σ_ij r_ij·x_it·x_jt/U², and a customer's part x_it·Σ_j r_ij·x_jt/U² is known up to the resistances' errors; phases and
  the neutral as in `network.path_losses`.

Losses are built from the customers and the conditions, never from the reference's reading: that contains the noise
which is to be explained, and a regressor with it is biased.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from metrology.quantities import Medium
from verifier.balance.conditions import conditions_at, pressure_shape, volume_correction
from verifier.balance.information import Prior
from verifier.balance.network import any_phase_known, met_in_neutral, met_on_phases, path_losses, phase_shares
from verifier.balance.types import DAY_US, Floats, Instants, MemberSeries, SideInformation, ZoneFacts

LOW_FLOW_M3PH = 0.06  # mean of an interval; worn domestic meters lose at 30 L/h several times what they do at 120 L/h
_LOW_FLOW_SD = 0.08  # of what the error at low flow is beyond that at higher
_CONVERSION_SD = 0.3  # of the coefficients of gas conditions


@dataclass(frozen=True)
class Beliefs:
    """Prior standard deviations of a zone's terms: shares of the mean load [%], the clocks' in seconds.

    `places_share` is the spread of the losses that customers cause, as a share of the quadratic losses;
    `resistance_pct` the error of known resistances, `common_pct` what all meters may err alike, and at least
    `common_least_pct` where more is known of their like.
    """

    constant_pct: float
    quadratic_pct: float
    rhythm_pct: float
    places_share: float
    clock_s: float
    common_pct: float = 0.0
    common_least_pct: float = 0.0
    resistance_pct: float = 10.0
    network_share: float = 0.4


@dataclass(frozen=True)
class Group:
    """A group's columns [first, last) with prior means and standard deviations, each (last − first,)."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Terms:
    """The columns of the model over some intervals: `design` (T, p), and prior `mean`, `sd`, both (p,).

    `common_sd`: spread of the mean that the meters' errors share. `shares` (N, 3): of customers' loads on the phases.
    """

    design: Floats
    mean: Floats
    sd: Floats
    groups: tuple[Group, ...]
    common_sd: float
    shares: Floats

    @property
    def prior(self) -> Prior:
        """What is believed of the terms."""
        return Prior(self.mean, self.sd, self.common_sd, self.columns("meters").stop)

    def columns(self, name: str) -> slice:
        """The place of a group's columns; an empty slice where the model has none."""
        for group in self.groups:
            if group.name == name:
                return slice(group.first, group.last)
        return slice(0, 0)


@dataclass(frozen=True)
class Intervals:
    """What the columns are made of, T intervals of equal length.

    `x` (T, N) with `x_before`, `x_after` its neighbours in time, `references` (T, K), `middle_us` (T,). `load` is the
    zone's mean load [base unit an interval], a constant of the model, so that days add up. Means and shares that stand
    in columns are those of the first intervals, of which `learned` (L, N) are the quantities.
    """

    x: Floats
    x_before: Floats
    x_after: Floats
    references: Floats
    middle_us: Instants
    hours: float
    load: float
    learned: Floats


def terms(
    zone: ZoneFacts, customers: Sequence[MemberSeries], side: SideInformation, beliefs: Beliefs, data: Intervals
) -> Terms:
    """All columns of the model for these intervals, the meters' first."""
    names, blocks, means, sds = [], [], [], []
    for name, block, mean, sd in _groups(zone, customers, side, beliefs, data):
        names.append(name)
        blocks.append(block)
        means.append(np.broadcast_to(np.asarray(mean, dtype=np.float64), block.shape[1]))
        sds.append(np.broadcast_to(np.asarray(sd, dtype=np.float64), block.shape[1]))
    edges = np.cumsum([0, *(block.shape[1] for block in blocks)])
    groups = tuple(Group(name, int(edges[i]), int(edges[i + 1])) for i, name in enumerate(names))
    # A standard deviation of zero (a reference said to be perfect) would divide by zero; 1e-7 is as good.
    sd = np.maximum(np.concatenate(sds), 1e-7)
    shares = phase_shares([member.phase for member in customers])
    common = _common_pct(customers, beliefs) / 100
    return Terms(np.hstack(blocks), np.concatenate(means), sd, groups, common, shares)


def _common_pct(customers: Sequence[MemberSeries], beliefs: Beliefs) -> float:
    """What all meters may err alike [%]: the greatest of what is known of each one's like."""
    of_meters = [beliefs.common_pct if m.prior_common_pct is None else m.prior_common_pct for m in customers]
    return max([beliefs.common_least_pct, *of_meters])


_Parts = Iterator[tuple[str, Floats, "Floats | float", "Floats | float"]]


def _groups(
    zone: ZoneFacts, customers: Sequence[MemberSeries], side: SideInformation, beliefs: Beliefs, data: Intervals
) -> _Parts:
    x, total = data.x, data.x.sum(axis=1)
    mean_pct = np.array([member.prior_mean_pct for member in customers])
    sd_pct = np.array([member.prior_sd_pct for member in customers])
    yield "meters", x, 1.0 / (1.0 + mean_pct / 100) - 1.0, sd_pct / 100
    yield from _clocks(beliefs.clock_s / (3600 * data.hours), data)
    yield from _gains(zone.reference_uncertainty_pct / 100, data)
    if zone.medium is Medium.ELECTRICITY:
        yield from _line_losses(customers, side, beliefs, data)
    flows = np.full((total.size, 1), data.load)
    if zone.medium is Medium.WATER:
        yield "low_flow", low_flow_columns(x, data.hours, data.learned), 0.0, _LOW_FLOW_SD
        pressure = conditions_at(side, side.pressure_m, data.middle_us)
        if pressure is not None:
            flows = data.load * pressure_shape(pressure, float(np.mean(pressure[: len(data.learned)])))
    if zone.medium is Medium.GAS:
        yield from _conversion(side, data)
    yield "constant", flows, 0.0, beliefs.constant_pct / 100
    yield "rhythm", data.load * harmonics(data.middle_us), 0.0, beliefs.rhythm_pct / 100


def harmonics(middle_us: Instants) -> Floats:
    """Sines and cosines of one and of two periods a day at these instants, (T, 4)."""
    angle = middle_us % DAY_US * (2 * np.pi / DAY_US)
    return np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1)


def _clocks(share: float, data: Intervals) -> _Parts:
    if share <= 0:
        return
    after, before = data.x_after - data.x, data.x_before - data.x
    yield "clocks", np.hstack([after, before]), 0.0, share
    yield "reference_clock", np.stack([after.sum(axis=1), before.sum(axis=1)], axis=1), 0.0, share


def _gains(sd: float, data: Intervals) -> _Parts:
    if data.references.shape[1] == 1:
        # The customers' sum stands for the reference's reading, whose noise would come back as a regressor.
        yield "gains", data.x.sum(axis=1)[:, None], 0.0, sd
    else:
        # Of several references each has its own course; with priors this narrow the noise in them biases nothing.
        yield "gains", data.references, 0.0, sd


def _line_losses(customers: Sequence[MemberSeries], side: SideInformation, beliefs: Beliefs, data: Intervals) -> _Parts:
    x, phases = data.x, [member.phase for member in customers]
    if side.resistance_ohm is not None:
        by_customer = path_losses(side.resistance_ohm, phases, x, data.hours, side.neutral_ratio)
        spread = beliefs.resistance_pct / 100
        yield "network", by_customer.sum(axis=1)[:, None], 1.0, beliefs.network_share
        yield "network_places", 2 * by_customer, 0.0, spread
        yield "quadratic", (x.sum(axis=1) ** 2 / data.load)[:, None], 0.0, beliefs.quadratic_pct / 1000
        return
    shares, sd = phase_shares(phases), beliefs.quadratic_pct / 100
    met = met_on_phases(shares, x) / data.load
    yield "quadratic", np.sum(x * met, axis=1)[:, None], 0.0, sd
    if any_phase_known(phases):
        yield "unbalance", np.sum(x * met_in_neutral(shares, x) / data.load, axis=1)[:, None], 0.0, sd
    inner = np.array([member.passes_on for member in customers], dtype=np.bool_)
    if inner.any():
        own = np.where(inner, 0.0, x)
        yield "own_quadratic", np.sum(own * met_on_phases(shares, own) / data.load, axis=1)[:, None], 0.0, sd
    if beliefs.places_share > 0:
        yield "places", x * met, 0.0, beliefs.places_share * sd


def _conversion(side: SideInformation, data: Intervals) -> _Parts:
    """Gas as it flows at the customers against the reference's base conditions.

    A coefficient of 1 belongs to meters that do not convert, out in the weather; indoors, or with a meter that allows
    for temperature, it is less, and differs from customer to customer.
    """
    x, total = data.x, data.x.sum(axis=1)
    temperature = conditions_at(side, side.temperature_degc, data.middle_us)
    atmospheric = conditions_at(side, side.atmospheric_hpa, data.middle_us)
    by_temperature, by_pressure = volume_correction(temperature, atmospheric)
    if by_pressure is not None:
        yield "pressure", (total * by_pressure)[:, None], 1.0, _CONVERSION_SD
    if by_temperature is not None:
        yield "temperature", (total * by_temperature)[:, None], 1.0, _CONVERSION_SD
        mean = by_temperature[: len(data.learned)].mean()
        yield "exposures", x * (by_temperature - mean)[:, None], 0.0, _CONVERSION_SD


def low_flow_columns(x: Floats, hours: float, learned: Floats | None = None) -> Floats:
    """What meters register at low flow less its mean share, (T, N): x_i·(low_it − s_i).

    A worn meter loses more the slower the water runs. With the share s_i of low flow in all that the meter registered
    taken off, the coefficient of x_i itself stays the error weighted by use. s_i is that of the quantities `learned`
    (L, N); None: of x.
    """
    known = np.abs(x if learned is None else learned)
    share = np.sum(known * _is_low(known, hours), axis=0) / np.maximum(np.sum(known, axis=0), 1e-12)
    out: Floats = x * (_is_low(np.abs(x), hours) - share)
    return out


def _is_low(quantity: Floats, hours: float) -> Floats:
    return (quantity / hours < LOW_FLOW_M3PH).astype(np.float64)
