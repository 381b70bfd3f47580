"""What is believed of a meter before its zone's data, and where that comes from. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from metrology.quantities import Medium
from store.registry import Meter
from verifier.balance.fleet import PooledPrior
from verifier.balance.kinds_of_meters import MeterKind
from verifier.balance_settings import BalanceSettings

_ALWAYS_US: Final = -(2**62)
_YEAR_US: Final = 365.25 * 86_400e6


@dataclass(frozen=True)
class MeterPrior:
    """Mean and standard deviation of a meter's error before the data [%], for histories that end after `from_us`.

    `common_pct`: what the meters of its like may err together; None: what those of the medium may. `source` says in
    words where it comes from.
    """

    mean_pct: float
    sd_pct: float
    common_pct: float | None
    source: str
    from_us: int = _ALWAYS_US


def prior_at(meter: Meter, pooled: Sequence[MeterPrior], end_us: int, settings: BalanceSettings) -> MeterPrior:
    """The meter's prior in a history that ends at `end_us`: its own `prior_sd_pct`, else the pooled, else its medium's.

    `pooled`: those of the meter, ascending by `from_us`.
    """
    if meter.prior_sd_pct is not None:
        return MeterPrior(0.0, meter.prior_sd_pct, None, "stated for this meter (prior_sd_pct)")
    in_force = [one for one in pooled if one.from_us < end_us]
    if in_force:
        return in_force[-1]
    sd_pct = settings.prior_sd_pct(Medium(meter.medium))
    return MeterPrior(0.0, sd_pct, None, f"settings, balance.prior_sd_{meter.medium}_pct")


def of_pool(pooled: PooledPrior, from_us: int = _ALWAYS_US) -> MeterPrior:
    """A pooled prior as a meter's."""
    return MeterPrior(pooled.mean_pct, pooled.sd_pct, pooled.common_pct, pooled_source(pooled), from_us)


def pooled_source(pooled: PooledPrior) -> str:
    """Where a pooled prior comes from, in words."""
    kind = pooled.kind
    parts = [f"type {kind.model}" if kind.model else "meters of no stated type"]
    parts += [f"lot {kind.lot}"] if kind.lot else []
    parts += [f"age {kind.age_years:.1f} a"] if kind.age_years is not None else []
    return f"pooled by {', '.join(parts)}: {pooled.meters} meters of the type in {pooled.zones} other zones"


def kind_of(meter: Meter, since_us: int | None, end_us: int) -> MeterKind:
    """What the meter has in common with others: manufacturer and model, lot, and years in service at `end_us`.

    `since_us`: when it was first installed; None: not known.
    """
    model = " ".join(part for part in (meter.manufacturer, meter.model) if part)
    age_years = None if since_us is None else max(end_us - since_us, 0) / _YEAR_US
    return MeterKind(model, meter.lot, age_years)


def first_installed(starts_us: Mapping[int, Sequence[int | None]]) -> dict[int, int | None]:
    """By meter_id when each was first installed, from the starts of its installations; None where it is not known."""
    known = {i: [start for start in starts if start is not None] for i, starts in starts_us.items()}
    return {i: min(known[i]) if known[i] and len(known[i]) == len(starts) else None for i, starts in starts_us.items()}
