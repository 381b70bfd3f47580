"""What may stand beside a zone's readings, a folder a zone: the network's resistances, and the conditions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from meterproof.offline.times import times_of_rows
from metrology.errors import InvalidInputError
from metrology.quantities import Medium
from store.cells import MAX_PROBLEMS, Problems, RowReader, check_columns
from store.errors import ImportRefusedError
from store.tables import Table, read_table
from verifier.balance.types import SideInformation

RESISTANCE: Final = "resistance_ohm.npy"
CONDITIONS: Final = "conditions.csv"
NETWORK: Final = "network.csv"
_MOST_OHM: Final = 1000.0
_NEUTRAL: Final = {"neutral_ratio": (0.0, 10.0)}  # a quarter of the section is the least that anyone lays
_TOLERANCE: Final = 1e-6  # of the largest value: what a matrix written in float32 may lack of symmetry
# The columns of each medium with the least and the largest value of this world.
_RANGES: Final[dict[Medium, dict[str, tuple[float, float]]]] = {
    Medium.ELECTRICITY: {},
    Medium.WATER: {"pressure_m": (-10.0, 1000.0)},
    Medium.GAS: {"temperature_degc": (-60.0, 80.0), "atmospheric_hpa": (400.0, 1100.0)},
}
_Read = TypeVar("_Read")


class SideZone(NamedTuple):
    """A zone that a folder may tell of; `customers`: of how many its matrix is, None where no meters file is given."""

    zone_id: int
    code: str
    medium: str
    customers: int | None


class Faults:
    """The faults of several files: the first ones, and how many there are."""

    def __init__(self) -> None:
        self.total = 0
        self._found: list[str] = []

    def add(self, fault: str, count: int = 1) -> None:
        """Notes a fault, which names its file."""
        self.total += count
        self._found.append(fault)

    def read(self, reading: Callable[[], _Read]) -> _Read | None:
        """What a file holds; None where it is refused, and its faults are noted."""
        try:
            return reading()
        except ImportRefusedError as error:
            for text in error.problems:
                self.add(f"{error.source}, {text}")
            self.total += error.total - len(error.problems)
        except InvalidInputError as error:
            self.add(str(error))
        return None

    def refuse_if_any(self, source: str, refused: str) -> None:
        """Raises ImportRefusedError with the faults, if there are any."""
        if self.total:
            raise ImportRefusedError(source, self._found[:MAX_PROBLEMS], self.total, refused)


def read_side(folder: Path, zones: Sequence[SideZone], time_zone: str, faults: Faults) -> dict[int, SideInformation]:
    """By zone_id what the folder holds of the zones: `<zone>/resistance_ohm.npy`, `<zone>/conditions.csv`.

    `time_zone`: of times without an offset; empty: they are wrong. What is wrong is noted in `faults` by file, place,
    value and remedy; also if nothing in the folder belongs to any zone.
    """
    if not folder.is_dir():
        faults.add(f"{folder}: is no folder; name the one that holds a folder for each zone")
        return {}
    found, before = {}, faults.total
    for zone in zones:
        side = _read_zone(folder / zone.code, zone, time_zone, faults)
        if side is not None:
            found[zone.zone_id] = side
    if not found and faults.total == before:
        example = folder / zones[0].code / RESISTANCE if zones else folder
        faults.add(f"{folder}: holds nothing for any of the zones; expected such as {example}")
    return found


def _read_zone(folder: Path, zone: SideZone, time_zone: str, faults: Faults) -> SideInformation | None:
    resistance, network, conditions = folder / RESISTANCE, folder / NETWORK, folder / CONDITIONS
    matrix = ratio = side = None
    if resistance.exists():
        matrix = faults.read(lambda: _read_resistance(resistance, zone))
    if network.exists():
        ratio = faults.read(lambda: _read_neutral(network, zone, resistance.exists()))
    if conditions.exists():
        side = faults.read(lambda: _read_conditions(conditions, zone, time_zone))
    elif matrix is not None:
        side = SideInformation(matrix) if ratio is None else SideInformation(matrix, neutral_ratio=ratio)
    return side


def _read_resistance(path: Path, zone: SideZone) -> NDArray[np.float64]:
    if zone.medium != Medium.ELECTRICITY:
        raise InvalidInputError(f"{path}: zone {zone.code} is one of {zone.medium}; resistances are for electricity")
    size = zone.customers
    if size is None:
        raise InvalidInputError(
            f"{path}: it is not said which meter stands in which row; name the meters file in whose order (--meters)"
        )
    try:
        given = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "pickle" in reason:  # numpy then advises what is not safe
            reason = "it holds no array of numbers"
        raise InvalidInputError(f"{path}: no readable .npy file ({reason}); write it with numpy.save") from None
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu":
        kind = getattr(given, "dtype", type(given).__name__)
        raise InvalidInputError(f"{path}: holds {kind}; expected an array of real numbers [ohm]")
    if given.shape != (size, size):
        raise InvalidInputError(
            f"{path}: has the shape {given.shape}; expected {(size, size)}, the customers' meters of zone {zone.code}"
            " in the order of the meters file"
        )
    matrix = given.astype(np.float64)
    _refuse_impossible(path, matrix)
    return (matrix + matrix.T) / 2


def _refuse_impossible(path: Path, matrix: NDArray[np.float64]) -> None:
    """Raises InvalidInputError unless finite, symmetric and positive semi-definite, as a passive network's is."""
    if not np.isfinite(matrix).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise InvalidInputError(f"{path}, place {list(place)}: {matrix[place]}; expected a finite number [ohm]")
    largest = float(np.max(np.abs(matrix), initial=0.0))
    if largest > _MOST_OHM:
        place = tuple(int(i) for i in np.argwhere(np.abs(matrix) == largest)[0])
        raise InvalidInputError(
            f"{path}, place {list(place)}: {matrix[place]:g}; expected at most {_MOST_OHM:g} ohm, what a path of a"
            " low-voltage network may have: is it in milliohm?"
        )
    skew = np.abs(matrix - matrix.T)
    if matrix.size and skew.max() > _TOLERANCE * largest:
        i, j = (int(k) for k in np.unravel_index(np.argmax(skew), skew.shape))
        raise InvalidInputError(
            f"{path}, place [{i}, {j}]: {matrix[i, j]:g} but [{j}, {i}]: {matrix[j, i]:g}; a common path is the same"
            " from both ends: make the matrix symmetric"
        )
    least = float(np.min(np.linalg.eigvalsh((matrix + matrix.T) / 2), initial=0.0))
    if least < -_TOLERANCE * largest * max(len(matrix), 1):
        raise InvalidInputError(
            f"{path}: its least eigenvalue is {least:g} ohm; the losses of some loads would be negative: expected a"
            " positive semi-definite matrix of common-path resistances"
        )


def _read_neutral(path: Path, zone: SideZone, has_matrix: bool) -> float:
    if not has_matrix:
        raise InvalidInputError(
            f"{path}: zone {zone.code} has no {RESISTANCE}, of which it tells the neutral; give both or neither"
        )
    table = read_table(path)
    check_columns(table, tuple(_NEUTRAL), tuple(_NEUTRAL))
    problems = Problems(str(path))
    values = _numbers(table, _NEUTRAL, problems)["neutral_ratio"]
    problems.refuse_if_any()
    if values.size != 1:
        raise InvalidInputError(f"{path}: holds {values.size} rows; expected one, the ratio of the whole zone")
    return float(values[0])


def _read_conditions(path: Path, zone: SideZone, time_zone: str) -> SideInformation:
    ranges = _RANGES[Medium(zone.medium)]
    if not ranges:
        raise InvalidInputError(f"{path}: zone {zone.code} is one of {zone.medium}; conditions are for water and gas")
    table = read_table(path)
    check_columns(table, ("observed_at", *ranges), ("observed_at", *ranges))
    problems = Problems(str(path))
    times = times_of_rows(table, "observed_at", time_zone, problems)
    values = _numbers(table, ranges, problems)
    for row, backwards in zip(table.rows[1:], np.diff(times) <= 0, strict=True):
        if backwards and not problems.total:
            text = row.cells[table.columns.index("observed_at")]
            problems.add(row.line, "observed_at", text, "a time after that of the line before; sort them, each once")
    problems.refuse_if_any()
    if not table.rows:
        raise InvalidInputError(f"{path}: holds no row; leave the file out, or give the conditions")
    return SideInformation(
        None, times, values.get("pressure_m"), values.get("temperature_degc"), values.get("atmospheric_hpa")
    )


def _numbers(
    table: Table, ranges: dict[str, tuple[float, float]], problems: Problems
) -> dict[str, NDArray[np.float64]]:
    reader = RowReader(table, problems)
    values = {name: np.zeros(len(table.rows)) for name in ranges}
    for i, row in enumerate(table.rows):
        reader.start(row)
        for name, (low, high) in ranges.items():
            before = problems.total
            value = reader.decimal(name)
            if problems.total == before and (value is None or not low <= value <= high):
                reader.fault(name, f"a number from {low:g} to {high:g}")
            values[name][i] = float(value or 0)
    return values
