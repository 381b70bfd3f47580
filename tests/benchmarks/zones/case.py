"""A zone as a case: what the meters said, what was known beforehand, and the truth behind both."""

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metrology.quantities import MICRO, Medium

DAY_US = 86_400_000_000
START_US = 1_767_571_200_000_000  # 2026-01-05T00:00:00Z, a Monday


@dataclass(frozen=True)
class BenchMeter:
    """A meter as the registry knows it; `resolution` [unit on its dial], `multiplier` to quantities of the network."""

    serial: str
    role: str  # customer | reference
    resolution: float
    prior_sd_pct: float
    mpe_pct: float | None
    multiplier: float = 1.0
    phase: str = "123"
    direction: str = "import"


@dataclass(frozen=True)
class FaultTruth:
    """What is wrong with one meter, from when on, and when its error first passed the limit (None: it never did)."""

    serial: str
    kind: str  # step | drift | stopped | reversed | swapped | foreign
    begins_us: int
    leaves_limit_us: int | None
    size_pct: float  # the error at the end of the case


@dataclass(frozen=True)
class UnmeteredTruth:
    """A load that no listed meter shows: its kind, when it began and its mean since then [base unit per hour]."""

    kind: str  # theft | unlisted | leak | burst
    begins_us: int
    mean_per_h: float


@dataclass(frozen=True)
class ZoneTruth:
    """`error_pct` [%] of every customer (in the order of the meters) on every day, weighted by use, shape (N, days).

    `clock_offset_s` (ahead positive) in the order of all meters; `true_use` [base unit], shape (N, days), is what
    flowed through each customer's meter; `loss`, `unmetered` and `reference` [base unit], shape (days,), are losses,
    unmetered load, and what flowed through the reference.
    """

    days_us: NDArray[np.int64]
    error_pct: NDArray[np.float64]
    true_use: NDArray[np.float64]
    loss: NDArray[np.float64]
    unmetered: NDArray[np.float64]
    reference: NDArray[np.float64]
    reference_gain_pct: float
    clock_offset_s: NDArray[np.float64]
    faults: tuple[FaultTruth, ...] = ()
    unmetered_loads: tuple[UnmeteredTruth, ...] = ()


@dataclass(frozen=True)
class Side:
    """Side information of the zone, as files may bring it; `resistance_ohm` in the order of the customers."""

    resistance_ohm: NDArray[np.float64] | None = None
    conditions_us: NDArray[np.int64] | None = None
    pressure_m: NDArray[np.float64] | None = None
    temperature_degc: NDArray[np.float64] | None = None
    atmospheric_hpa: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class ZoneCase:
    """A zone: the reference is the first of `meters`; of each meter the times [us] and registers [millionths].

    Registers are as read from the dial, before the multiplier. A meter's times are those of its own clock.
    """

    name: str
    zone_class: str
    medium: Medium
    interval_s: int
    reference_uncertainty_pct: float
    meters: tuple[BenchMeter, ...]
    observed_us: tuple[NDArray[np.int64], ...]
    register_micro: tuple[NDArray[np.int64], ...]
    truth: ZoneTruth
    side: Side = field(default_factory=Side)
    made_of: str = ""  # where the demand comes from, for the page

    @property
    def customers(self) -> tuple[int, ...]:
        """Places of the customers among the meters."""
        return tuple(i for i, meter in enumerate(self.meters) if meter.role == "customer")

    @property
    def days(self) -> int:
        """Whole days of the case."""
        return int(self.truth.days_us.size)

    @property
    def end_us(self) -> int:
        """The end of the last day."""
        return int(self.truth.days_us[-1]) + DAY_US

    def total(self, place: int) -> NDArray[np.float64]:
        """The cumulative total [base unit] of one meter, after its multiplier."""
        return self.register_micro[place] * (self.meters[place].multiplier / MICRO)


def zone_name(zone_class: str, seed: int) -> str:
    """A name for files and registries: letters, digits and dashes, e.g. homes-50-changes-7."""
    return "-".join([*re.findall(r"[a-z0-9.]+", zone_class.lower()), str(seed)])
