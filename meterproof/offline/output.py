"""The table that an assessment of files writes, and its summary."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from metrology.conformity import Reason
from metrology.errors import InvalidInputError
from store.times import to_datetime
from verifier.offline import MeterVerdict

_TIME: Final = pa.timestamp("us", tz="UTC")
# The first eight are the contract; what follows may grow.
SCHEMA: Final = pa.schema(
    [
        ("zone", pa.string()),
        ("meter", pa.string()),
        ("error_pct", pa.float64()),
        ("std_pct", pa.float64()),
        ("p_nonconforming", pa.float64()),
        ("outcome", pa.string()),
        ("reasons", pa.string()),
        ("first_alert_at", _TIME),
        ("role", pa.string()),
        ("medium", pa.string()),
        ("mpe_pct", pa.float64()),
        ("window_start", _TIME),
        ("window_end", _TIME),
        ("prior_mean_pct", pa.float64()),
        ("prior_sd_pct", pa.float64()),
        ("prior_common_pct", pa.float64()),
        ("prior_source", pa.string()),
    ]
)


def check_output(path: Path, inputs: Sequence[Path]) -> None:
    """Raises InvalidInputError if the output can't be written there, before any work is done."""
    if path.suffix.lower() not in (".csv", ".parquet", ".pq"):
        raise InvalidInputError(f"--out {path}: the ending says how it is written; use .csv or .parquet")
    if any(path.resolve() == one.resolve() for one in inputs):
        raise InvalidInputError(f"--out {path} would overwrite an input; name another file")
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInputError(
            f"--out {path}: {path.parent} is no folder to write a file in; make it, or name another"
        )


def write_verdicts(path: Path, verdicts: Sequence[MeterVerdict]) -> None:
    """Writes one row a meter. Raises InvalidInputError where the file can't be written."""
    table = pa.Table.from_pylist([as_row(one) for one in verdicts], schema=SCHEMA)
    try:
        if path.suffix.lower() == ".csv":
            at = {field.name: i for i, field in enumerate(SCHEMA) if field.type == _TIME}
            for name, i in at.items():
                texts = pa.array([_iso(value) for value in table.column(name).to_pylist()], pa.string())
                table = table.set_column(i, name, texts)
            pa_csv.write_csv(table, path, pa_csv.WriteOptions(quoting_style="needed"))
        else:
            pq.write_table(table, path)
    except OSError as error:
        raise InvalidInputError(f"--out {path}: {error.strerror or error}; name a file that can be written") from None


def as_row(one: MeterVerdict) -> dict[str, Any]:
    """The row of a meter, its times aware."""
    window, prior = one.assessment, one.prior
    return {
        "zone": one.zone,
        "meter": one.meter.serial,
        "error_pct": one.error_pct,
        "std_pct": one.std_pct,
        "p_nonconforming": one.p_nonconforming,
        "outcome": one.outcome.value,
        "reasons": " | ".join(_reason_text(reason) for reason in one.reasons),
        "first_alert_at": None if one.first_alert_us is None else to_datetime(one.first_alert_us),
        "role": one.role,
        "medium": one.meter.medium,
        "mpe_pct": window.mpe_pct if window else one.meter.mpe_pct,
        "window_start": None if window is None else to_datetime(window.start_us),
        "window_end": None if window is None else to_datetime(window.end_us),
        "prior_mean_pct": prior and prior.mean_pct,
        "prior_sd_pct": prior and prior.sd_pct,
        "prior_common_pct": prior and prior.common_pct,
        "prior_source": prior and prior.source,
    }


def outcome_counts(verdicts: Sequence[MeterVerdict]) -> dict[str, int]:
    """How many customers' meters have each outcome."""
    counts = Counter(one.outcome.value for one in verdicts if one.role not in ("reference", "check"))
    return {name: counts[name] for name in ("conforming", "nonconforming", "inconclusive", "withheld")}


def _reason_text(reason: Reason) -> str:
    return f"{reason.code}: {reason.text}"


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat().replace("+00:00", "Z")
