"""Maximum permissible errors over the whole load range, read from a regulation's data. Scalars and arrays alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeVar, get_args, overload

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import BoolArray, FloatArray, Floats, drop_0d, floats
from metrology.errors import InvalidInputError
from metrology.limit_tables import limit_tables
from metrology.load_marks import LOAD_UNIT, check_marks
from metrology.regulation import require_in_force
from metrology.regulation_schema import Connection, Limit, Regulation, Stage

T = TypeVar("T", bound=np.generic)
Outside = Literal["refuse", "nan"]
_CHUNK = 32_768  # points at a time: the temporaries stay in the processor's cache, and memory stays bounded


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a limit may depend on beside the load. Arrays must fit the shape of the load.

    marks: the meter's marked values [A or m3/h], by the names in load_marks.MARKS; power_factor [1] in (0, 1], with
    `leading` True where it is capacitive; temperature_degc of the water; connection of an electricity meter.
    """

    marks: Mapping[str, Floats] = field(default_factory=dict)
    power_factor: Floats | None = None
    leading: bool | BoolArray = False
    temperature_degc: Floats | None = None
    connection: Connection | None = None


NO_CONDITIONS = Conditions()


@dataclass(frozen=True)
class ApplicableLimit:
    """A limit [%] and the figure of the regulation that it comes from, with its clause, confidence and source."""

    mpe_pct: float
    regulation_id: str
    limit: Limit

    @property
    def confidence(self) -> str:
        """A certain, B very likely, C to be confirmed."""
        return self.limit.confidence

    @property
    def clause(self) -> str:
        """Where the figure stands."""
        return self.limit.clause


@overload
def mpe_pct(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    load: FloatArray,
    conditions: Conditions = ...,
    *,
    on: date | None = ...,
    outside: Outside = ...,
) -> FloatArray: ...
@overload
def mpe_pct(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    load: float | None = ...,
    conditions: Conditions = ...,
    *,
    on: date | None = ...,
    outside: Outside = ...,
) -> float: ...
def mpe_pct(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    load: Floats | None = None,
    conditions: Conditions = NO_CONDITIONS,
    *,
    on: date | None = None,
    outside: Outside = "refuse",
) -> Floats:
    """The maximum permissible error [%], a positive number, at each load [A or m3/h]; one accuracy class at a time.

    A load on a bound belongs to the zone that begins there; the last zone includes its end. A load, power factor or
    temperature for which the regulation states no limit raises InvalidInputError, or gives NaN with outside="nan".
    `load` may be left out where the limit holds over the whole range. With `on`, the edition must be in force that day.
    Bounds are computed from the marks in float64: give loads as float64 too, for float32 can't hold 0.7 A exactly
    enough to stay on its side. Raises InvalidInputError for unknown stages, classes, connections, marks and options,
    each with the valid ones.
    """
    evaluation = _Evaluation(regulation, stage, accuracy_class, load, conditions=conditions, on=on)
    return drop_0d(evaluation.run(outside, rows=None))


def applicable_limits(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    load: FloatArray,
    conditions: Conditions = NO_CONDITIONS,
    *,
    on: date | None = None,
    outside: Outside = "refuse",
) -> tuple[FloatArray, NDArray[np.int16]]:
    """As mpe_pct, with the index into regulation.limits of the figure that applied (-1 where none does)."""
    evaluation = _Evaluation(regulation, stage, accuracy_class, load, conditions=conditions, on=on)
    rows = np.full(evaluation.load.shape, -1, dtype=np.int16)
    return evaluation.run(outside, rows), rows


def applicable_limit(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    load: float | None = None,
    conditions: Conditions = NO_CONDITIONS,
    *,
    on: date | None = None,
) -> ApplicableLimit:
    """The limit at one load with the figure, clause and confidence it rests on. Raises as mpe_pct does."""
    evaluation = _Evaluation(regulation, stage, accuracy_class, load, conditions=conditions, on=on)
    rows = np.full((), -1, dtype=np.int16)
    value = evaluation.run("refuse", rows)
    return ApplicableLimit(float(value), regulation.id, regulation.limits[int(rows)])


class _Evaluation:
    """One call: the tables that stage, class and connection select, and the checked, flattened inputs."""

    def __init__(
        self,
        regulation: Regulation,
        stage: Stage | str,
        accuracy_class: str,
        load: Floats | None,
        *,
        conditions: Conditions,
        on: date | None,
    ) -> None:
        if on is not None:
            require_in_force(regulation, on)
        self.tables = limit_tables(regulation, stage, accuracy_class, conditions.connection)
        self.regulation = regulation
        medium = regulation.media[0]
        self.unit = LOAD_UNIT[medium]
        marks = check_marks(conditions.marks, {mark for table in self.tables for mark in table.marks}, medium)
        if load is None and any(zone.lower for table in self.tables for zone in table.zones):
            raise InvalidInputError(f"the limits of {regulation.id} depend on the load; give it [{self.unit}]")
        self.load = floats("load", 0.0 if load is None else load)
        self.inputs = {name: _fit(name, value, self.load.shape) for name, value in marks.items()}
        self.leading = _fit("leading", _truth(conditions.leading), self.load.shape)
        self.power_factor = self._influence(
            "power_factor", conditions.power_factor, [t.by_power_factor for t in self.tables]
        )
        self.temperature = self._influence(
            "temperature_degc", conditions.temperature_degc, [t.by_temperature for t in self.tables]
        )

    def _influence(self, name: str, value: Floats | None, needed: list[bool]) -> FloatArray:
        if value is None and any(needed):
            raise InvalidInputError(f"the limits of {self.regulation.id} depend on {name}; give it")
        return _fit(name, floats(name, np.nan if value is None else value), self.load.shape)

    def run(self, outside: Outside, rows: NDArray[np.int16] | None) -> FloatArray:
        """The limits, shape of the load; fills `rows` if given."""
        if outside not in get_args(Outside):
            raise InvalidInputError(f"outside {outside!r} is unknown; use one of {', '.join(get_args(Outside))}")
        result = np.empty(self.load.shape)
        flat_load, flat_result = self.load.reshape(-1), result.reshape(-1)
        flat_rows = None if rows is None else rows.reshape(-1)
        for part in _parts(flat_load.size):
            into = flat_result[part]
            self._fill(flat_load[part], part, into, None if flat_rows is None else flat_rows[part])
            if outside == "refuse" and np.isnan(into.min()):
                self._refuse(part.start + int(np.flatnonzero(np.isnan(into))[0]))
        return result

    def _fill(self, load: FloatArray, part: slice, out: FloatArray, rows: NDArray[np.int16] | None) -> None:
        marks = {name: _cut(value, part) for name, value in self.inputs.items()}
        out.fill(np.nan)
        for table in self.tables:
            where = table.selects(_cut(self.power_factor, part), _cut(self.leading, part), _cut(self.temperature, part))
            if where.ndim == 0 and not where:
                continue
            if where.ndim == 0:
                table.fill(load, marks, out, rows)
                return  # tables exclude each other
            values = np.full(load.shape, np.nan)
            indexes = None if rows is None else np.full(load.shape, -1, dtype=np.int16)
            table.fill(load, marks, values, indexes)
            np.copyto(out, values, where=where)
            if rows is not None and indexes is not None:
                np.copyto(rows, indexes, where=where)

    def _refuse(self, i: int) -> None:
        """Raises InvalidInputError saying why the regulation states no limit for point i, and what it states."""
        at = slice(i, i + 1)
        power_factor, temperature = (np.atleast_1d(_cut(v, at)) for v in (self.power_factor, self.temperature))
        leading = np.atleast_1d(_cut(self.leading, at))
        chosen = [table for table in self.tables if np.all(table.selects(power_factor, leading, temperature))]
        place = f"point {i}: " if self.load.ndim else ""
        if not chosen:
            found = [f"power factor {power_factor[0]:g}{' leading' if leading[0] else ''}"] * self.tables[
                0
            ].by_power_factor
            found += [f"temperature {temperature[0]:g} degC"] * self.tables[0].by_temperature
            stated = "; ".join(dict.fromkeys(table.influences for table in self.tables))
            raise InvalidInputError(
                f"{place}{self.regulation.id} states no limit for {', '.join(found)}, but for {stated}"
            )
        marks = {name: _cut(value, at) for name, value in self.inputs.items()}
        load = self.load.reshape(-1)[i]
        raise InvalidInputError(
            f"{place}{self.regulation.id} states no limit for a load of {load:g} {self.unit}, "
            f"but {chosen[0].range_text(marks)}"
        )


def _parts(size: int) -> Iterator[slice]:
    for start in range(0, size, _CHUNK):
        yield slice(start, min(start + _CHUNK, size))


def _truth(leading: bool | BoolArray) -> BoolArray:
    array = np.asarray(leading)
    if array.dtype != np.bool_:
        raise InvalidInputError(f"leading must be True or False for each load; it holds {array.dtype}")
    return array


def _fit(name: str, array: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """`array` flattened if it has the shape of the load or can be broadcast to it; 0-d arrays stay."""
    if array.ndim == 0 or array.shape == shape:
        return array.reshape(-1) if array.ndim else array
    try:
        return np.broadcast_to(array, shape).reshape(-1)
    except ValueError:
        raise InvalidInputError(f"{name} has shape {array.shape}, the load {shape}; give both the same shape") from None


def _cut(value: NDArray[T], part: slice) -> NDArray[T]:
    return value[part] if value.ndim else value
