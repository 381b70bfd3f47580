"""What a zone's balance takes in besides readings."""

from dataclasses import dataclass
from typing import Literal

ComparisonKind = Literal["check_meter", "site_test"]


@dataclass(frozen=True, slots=True)
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
