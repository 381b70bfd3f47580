"""A file of tests on site: the error of a meter as a standard found it, with its uncertainty."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from meterproof.offline.times import times_of_rows
from metrology.errors import InvalidInputError
from store.cells import Problems, RowReader, check_columns
from store.file_registry import REFUSED
from store.registry import Meter
from store.tables import read_table
from verifier.balance.types import Comparison

REQUIRED: Final = ("meter", "tested_at", "error_pct")
KNOWN: Final = (*REQUIRED, "std_pct", "expanded_uncertainty_pct", "coverage_factor")
_LARGEST_PCT: Final = 1000


def read_site_tests(path: Path, meters: Mapping[str, Meter], time_zone: str, encoding: str | None) -> list[Comparison]:
    """The tests of a file, `meter, tested_at, error_pct` with `std_pct`, or `expanded_uncertainty_pct`.

    An expanded uncertainty is divided by its `coverage_factor`, 2 unless stated (GUM, 6.2.1). Raises
    ImportRefusedError with the faults of the file.
    """
    table = read_table(path, encoding)
    check_columns(table, REQUIRED, KNOWN)
    if not {"std_pct", "expanded_uncertainty_pct"} & set(table.columns):
        raise InvalidInputError(f"{path}: column 'std_pct' or 'expanded_uncertainty_pct' is missing; name one of them")
    problems = Problems(str(path), REFUSED)
    times = times_of_rows(table, "tested_at", time_zone, problems)
    reader, tests = RowReader(table, problems), []
    for row, time_us in zip(table.rows, times.tolist(), strict=True):
        reader.start(row)
        serial = reader.name("meter", required=True)
        if serial and serial not in meters:
            reader.fault("meter", "a meter of the meters file")
        error, before = reader.decimal("error_pct"), problems.total
        if error is None and not reader.raw("error_pct"):
            reader.fault("error_pct", "the meter's error [%]")
        elif error is not None and not -100 <= error <= _LARGEST_PCT:
            reader.fault("error_pct", f"an error from -100 to {_LARGEST_PCT} %")
        std = _std_pct(reader)
        if problems.total == before and std is not None and error is not None and serial in meters:
            tests.append(Comparison(meters[serial].meter_id, time_us, time_us, float(error), std, "site_test"))
    problems.refuse_if_any()
    return tests


def _std_pct(reader: RowReader) -> float | None:
    if reader.raw("std_pct") and reader.raw("expanded_uncertainty_pct"):
        reader.fault("expanded_uncertainty_pct", "nothing, since std_pct says how uncertain the test is")
        return None
    std, expanded = reader.positive("std_pct"), reader.positive("expanded_uncertainty_pct")
    factor = reader.positive("coverage_factor")
    if not reader.raw("std_pct") and not reader.raw("expanded_uncertainty_pct"):
        reader.fault("std_pct", "the standard uncertainty of the test [%], or expanded_uncertainty_pct")
    if std is not None:
        return float(std)
    return None if expanded is None else float(expanded / (factor or 2))
