"""What stands in files beside a zone's readings: its network's resistances, and check meters in series. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from store.registry import Meter, Zone, ZoneMember
from verifier.accepted import Series
from verifier.balance.types import Comparison, Floats


def customers_in_order(zone: Zone) -> list[int]:
    """The ids of the zone's own customers' meters in the order of the meters file, each once."""
    own = (m.installation for m in zone.members if m.zone_id == zone.zone_id and m.installation.role == "customer")
    return sorted({place.meter_id for place in own})


def resistance_of(zone: Zone, customers: Sequence[int], resistance_ohm: Floats) -> Floats:
    """The resistances (N, N) of `customers_in_order` in the order of these meters; 0 for those that are none of them.

    `customers` are meter_ids, a meter that came back standing there again.
    """
    place = {meter_id: i for i, meter_id in enumerate(customers_in_order(zone))}
    known = [k for k, meter_id in enumerate(customers) if meter_id in place]
    at = [place[customers[k]] for k in known]
    out = np.zeros((len(customers), len(customers)))
    out[np.ix_(known, known)] = resistance_ohm[np.ix_(at, at)]
    return out


def check_comparisons(
    zone: Zone, meters: Sequence[Meter], series: Series, start_us: int, end_us: int
) -> list[Comparison]:
    """Every customer's meter against the check meters at its service point, over [start_us, end_us]. Pure.

    Both totals are taken between their first and last common instant of the zone's grid. The error is
    (Q - Q_check) / Q_check; its variance that of the check meter's own error (`prior_sd_pct`, else the zone's
    reference uncertainty) and of four indications' resolution, Δ²/6 a meter (GUM 4.3.7). Nothing is concluded where
    the check meter registered nothing.
    """
    of_id = {meter.meter_id: meter for meter in meters}
    found = []
    for check in (m for m in zone.members if m.installation.role == "check" and m.zone_id == zone.zone_id):
        for other in zone.members:
            if _in_series(check, other, zone):
                own = _common(check, other, start_us, end_us)
                result = _compared(zone, of_id, check, other, series, own)
                found += [] if result is None else [result]
    return found


def _in_series(check: ZoneMember, other: ZoneMember, zone: Zone) -> bool:
    one, two = check.installation, other.installation
    same = (one.service_point, one.direction, one.phase) == (two.service_point, two.direction, two.phase)
    return same and two.role == "customer" and other.zone_id == zone.zone_id


def _common(one: ZoneMember, other: ZoneMember, start_us: int, end_us: int) -> tuple[int, int]:
    starts = [t for t in (one.start_us, other.start_us, start_us) if t is not None]
    ends = [t for t in (one.end_us, other.end_us, end_us) if t is not None]
    return max(starts), min(ends)


def _compared(
    zone: Zone,
    meters: dict[int, Meter],
    check: ZoneMember,
    other: ZoneMember,
    series: Series,
    span_us: tuple[int, int],
) -> Comparison | None:
    ids = check.installation.meter_id, other.installation.meter_id
    if not all(i in series for i in ids):
        return None
    step_us = zone.interval_s * 1_000_000
    ends = [_inside(series[i][0], span_us) for i in ids]
    if any(part.size < 2 for part in ends):
        return None
    first, last = max(int(part[0]) for part in ends), min(int(part[-1]) for part in ends)
    first, last = -(-first // step_us) * step_us, last // step_us * step_us
    if first >= last:
        return None
    quantity = [float(np.diff(np.interp([first, last], *series[i]))[0]) for i in ids]
    if not quantity[0] > 0:
        return None
    resolution = [
        meters[m.installation.meter_id].resolution_micro * float(m.installation.multiplier) / 1e6
        for m in (check, other)
    ]
    standard = meters[ids[0]].prior_sd_pct or zone.reference_uncertainty_pct
    variance = standard**2 + 1e4 * (resolution[0] ** 2 + resolution[1] ** 2) / 6 / quantity[0] ** 2
    error_pct = 100 * (quantity[1] / quantity[0] - 1)
    return Comparison(ids[1], first, last, error_pct, float(np.sqrt(variance)), "check_meter")


def _inside(observed_us: NDArray[np.int64], span_us: tuple[int, int]) -> NDArray[np.int64]:
    low, high = np.searchsorted(observed_us, span_us[0]), np.searchsorted(observed_us, span_us[1], side="right")
    return observed_us[low:high]
