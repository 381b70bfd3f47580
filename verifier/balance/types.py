"""What the balance takes and gives: a zone, its meters' series, side information, and the outcomes of a day's end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from metrology.conformity import Outcome, Reason
from metrology.quantities import Medium

DAY_US: Final = 86_400_000_000
Floats = NDArray[np.float64]
Instants = NDArray[np.int64]  # [us since 1970]
ComparisonKind = Literal["check_meter", "site_test"]


@dataclass(frozen=True)
class ZoneFacts:
    """What the registry says of the zone."""

    medium: Medium
    interval_s: int
    reference_uncertainty_pct: float


@dataclass(frozen=True)
class MemberSeries:
    """A meter of the zone with its accepted cumulative `total` [base unit] at `observed_us`, both shape (R,).

    Totals are after multipliers, glitches left out. `is_reference` tells the zone's reference meters from the
    customers', `passes_on` the references of zones inside, which count as customers; `sign` is −1 for exports.
    `mpe_pct` is None, with `no_limit` saying why, where no limit is known; `faults` are kinds of findings in force that
    spoil a balance. The meter was part of the zone in [`installed_us`, `removed_us`); outside it counts nothing.
    `prior_mean_pct` and `prior_sd_pct` are those of healthy meters like it, and `prior_common_pct` what these may err
    together (None: what meters of the medium may), `prior_source` where they come from; where the prior
    was learned from its like, `unpooled_sd_pct` is what it would be otherwise; `phase` is 1, 2, 3 or 123 (0:
    not known).
    In the spans `spoiled_us`, [start, end), its quantities are not to be believed (a reset, a jump).
    """

    meter_id: int
    is_reference: bool
    sign: int
    observed_us: Instants
    total: Floats
    resolution: float
    prior_sd_pct: float
    mpe_pct: float | None
    no_limit: str = ""
    faults: tuple[str, ...] = ()
    passes_on: bool = False
    installed_us: int | None = None
    removed_us: int | None = None
    prior_mean_pct: float = 0.0
    phase: int = 0
    spoiled_us: tuple[tuple[int, int], ...] = ()
    prior_common_pct: float | None = None
    prior_source: str = ""
    unpooled_sd_pct: float | None = None


@dataclass(frozen=True)
class SideInformation:
    """What is known of a zone beside its readings; each part may be missing.

    `resistance_ohm` (N, N): resistance of the path that two customers share, of a phase conductor, in the order of the
    zone's customers. `neutral_ratio`: the neutral's resistance over it; 1 for cores of equal section, as circuits of
    one phase have them, and of three up to 16 mm² of copper, 25 mm² of aluminium (IEC 60364-5-52, 524.2).
    `conditions_us` (K,), ascending, with `pressure_m` (water), or `temperature_degc` and `atmospheric_hpa` (gas), (K,).
    """

    resistance_ohm: Floats | None = None
    conditions_us: Instants | None = None
    pressure_m: Floats | None = None
    temperature_degc: Floats | None = None
    atmospheric_hpa: Floats | None = None
    neutral_ratio: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """A direct comparison of a meter with a standard: a Gaussian measurement of its error of indication.

    `error_pct` [%] with the standard uncertainty `std_pct` [%] is the mean error over [start_us, end_us), weighted by
    what the meter registers; of a test at a moment `start_us` equals `end_us`. `kind` tells a check meter in series
    from a site test.
    """

    meter_id: int
    start_us: int
    end_us: int
    error_pct: float
    std_pct: float
    kind: ComparisonKind


@dataclass(frozen=True)
class MeterAssessment:
    """One customer meter's outcome at `end_us`, from the data of the window [start_us, end_us).

    `error_pct` is the error at the window's end. `change_us` is when it left its former level, if it is believed to
    have, `decidable` whether the width of the estimate allows a verdict at all. `contributions_pct` are parts of the
    standard uncertainty by what they come from; their squares add up to that of `std_pct`.
    """

    meter_id: int
    start_us: int
    end_us: int
    mpe_pct: float | None
    error_pct: float | None
    std_pct: float | None
    p_nonconforming: float | None
    outcome: Outcome
    reasons: tuple[Reason, ...]
    change_us: int | None = None
    decidable: bool = False
    contributions_pct: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Remedy:
    """Something that would make more of a zone decidable, with what it is expected to bring.

    `newly_decidable` meters, and by how much the mean standard uncertainty falls [%].
    """

    code: str
    text: str
    newly_decidable: int
    std_fall_pct: float
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ZoneReport:
    """How well a zone is understood at a day's end.

    Shares are of the mean load [%]: losses, and noise of one interval. `unmetered` is the load that no meter shows,
    [base unit an interval], since `unmetered_since_us`; None where none is seen.
    """

    groups: int
    collected_pct: float
    loss_pct: float | None
    noise_share_pct: float | None
    unmetered: float | None
    unmetered_since_us: int | None
    decidable: tuple[int, ...]
    remedies: tuple[Remedy, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class ZoneLikelihood:
    """Likelihood exp(−½ θᵀΛθ + hᵀθ) of the errors θ [%] of N meters of one zone at the end, see `likelihood`.

    `information` Λ (N, N) [1/%²], positive semi-definite; `moment` h (N,) [1/%]. `told` (N,): the share of each meter's
    prior variance that the data took away; `changed` (N,): meters that left their former level within the history.
    """

    meter_ids: tuple[int, ...]
    information: Floats
    moment: Floats
    told: Floats
    changed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.meter_ids)


@dataclass(frozen=True)
class ZoneDay:
    """The outcomes of every customer's meter at a day's end, and of the zone.

    `likelihood` is what the data alone say of the meters: at the last of the days asked for, of a zone that is
    understood (it may be refused for its losses).
    """

    end_us: int
    assessments: list[MeterAssessment]
    report: ZoneReport
    likelihood: ZoneLikelihood | None = field(default=None, compare=False)
