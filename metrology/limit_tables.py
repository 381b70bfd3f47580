"""Tables of limits: the zones that a stage, an accuracy class and a connection select from a regulation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metrology.arrays import BoolArray, FloatArray
from metrology.errors import InvalidInputError
from metrology.load_marks import MARKS, Bound, parse_bound
from metrology.regulation import reason_not_stated
from metrology.regulation_check import table_influences
from metrology.regulation_schema import Connection, Limit, Regulation, Stage

_LARGEST_LOAD = 1e15  # [A or m3/h] where a limit holds over the whole range: what is beyond is no load


@dataclass(frozen=True)
class Zone:
    """One zone for one class: mpe_pct [%], falling with the load where `inverse` names a mark."""

    index: int
    mpe_pct: float
    lower: Bound | None
    upper: Bound | None
    inverse: Bound | None


@dataclass(frozen=True)
class LimitTable:
    """Adjoining zones in ascending order, for one column of power factors and one band of temperatures."""

    zones: tuple[Zone, ...]
    head: Limit

    @property
    def by_power_factor(self) -> bool:
        """Whether the power factor selects this table."""
        return self.head.power_factor is not None

    @property
    def by_temperature(self) -> bool:
        """Whether the temperature selects this table."""
        return self.head.temperature_to_degc is not None

    @property
    def marks(self) -> set[str]:
        """The marks in which the zones are stated."""
        bounds = [b for z in self.zones for b in (z.lower, z.upper, z.inverse) if b is not None]
        return {bound.mark for bound in bounds}

    @property
    def influences(self) -> str:
        """The power factors and temperatures of this table, in words."""
        return influence_text(self.head)

    def selects(self, power_factor: FloatArray, leading: BoolArray, temperature_degc: FloatArray) -> BoolArray:
        """Where the influences fall into this table."""
        chosen: BoolArray = np.asarray(True)
        head = self.head
        if head.power_factor == "unity":
            chosen = power_factor == 1.0
        elif head.power_factor == "other":
            inductive = np.inf if head.inductive_min is None else head.inductive_min
            capacitive = np.inf if head.capacitive_min is None else head.capacitive_min
            chosen = (power_factor < 1.0) & (power_factor >= np.where(leading, capacitive, inductive))
        if head.temperature_to_degc is not None:
            chosen = chosen & (temperature_degc <= head.temperature_to_degc)
        if head.temperature_above_degc is not None:
            chosen = chosen & (temperature_degc > head.temperature_above_degc)
        if head.temperature_from_degc is not None:
            chosen = chosen & (temperature_degc >= head.temperature_from_degc)
        return np.asarray(chosen)

    def fill(
        self, load: FloatArray, marks: Mapping[str, FloatArray], out: FloatArray, rows: NDArray[np.int16] | None
    ) -> None:
        """Writes the limit [%] of each load into `out`, which holds NaN, and the figure's index into `rows`.

        Zones adjoin and ascend, so each overwrites the one below from its lower bound on: one comparison a zone.
        """
        for zone in self.zones:
            where = load >= (0.0 if zone.lower is None else zone.lower.value(marks))
            if zone.inverse is None:
                np.copyto(out, zone.mpe_pct, where=where)
            else:
                np.divide(zone.mpe_pct * zone.inverse.value(marks), load, out=out, where=where)
            if rows is not None:
                np.copyto(rows, np.int16(zone.index), where=where)
        top = self.zones[-1].upper
        beyond = load > (_LARGEST_LOAD if top is None else top.value(marks))
        np.copyto(out, np.nan, where=beyond)
        if rows is not None:
            np.copyto(rows, np.int16(-1), where=beyond)

    def range_text(self, marks: Mapping[str, FloatArray]) -> str:
        """The range of loads that the zones cover, in words."""
        low, high = self.zones[0].lower, self.zones[-1].upper
        if low is None or high is None:
            return "for loads from 0"
        first, last = (float(np.ravel(bound.value(marks))[0]) for bound in (low, high))
        return f"from {low} = {first:g} to {high} = {last:g}"


def influence_text(limit: Limit) -> str:
    """The power factors and temperatures of a zone, in words; empty where it depends on neither."""
    words = ["power factor 1"] if limit.power_factor == "unity" else []
    if limit.inductive_min is not None:
        words.append(f"power factor {limit.inductive_min:g} inductive ≤ pf < 1")
    if limit.capacitive_min is not None:
        words.append(f"or {limit.capacitive_min:g} capacitive ≤ pf < 1")
    if limit.temperature_from_degc is not None:
        words.append(f"{limit.temperature_from_degc:g} °C ≤ T ≤ {limit.temperature_to_degc:g} °C")
    if limit.temperature_above_degc is not None:
        words.append(f"{limit.temperature_above_degc:g} °C < T ≤ {limit.temperature_to_degc:g} °C")
    return ", ".join(words)


def limit_tables(
    regulation: Regulation, stage: Stage | str, accuracy_class: str, connection: Connection | None
) -> list[LimitTable]:
    """The tables for a stage, a class and a connection. Raises InvalidInputError with the valid choices."""
    chosen_stage = _parse_stage(stage)
    of_stage = [(i, limit) for i, limit in enumerate(regulation.limits) if limit.stage is chosen_stage]
    if not of_stage:
        reason = reason_not_stated(regulation, f"{chosen_stage.value} limits")  # type: ignore[arg-type]  # both stages are subjects
        stages = ", ".join(sorted({limit.stage for limit in regulation.limits})) or "none"
        raise InvalidInputError(
            f"{regulation.id} states no limits at stage {chosen_stage.value!r} (it has {stages})"
            + (f": {reason}" if reason else "")
        )
    classes = list(dict.fromkeys(name for _, limit in of_stage for name in limit.mpe_pct))
    if accuracy_class not in classes:
        raise InvalidInputError(
            f"accuracy class {accuracy_class!r} is unknown to {regulation.id} at stage {chosen_stage.value}; "
            f"use one of {', '.join(classes)}"
        )
    of_class = [(i, limit) for i, limit in of_stage if accuracy_class in limit.mpe_pct]
    connections = sorted({limit.connection for _, limit in of_class if limit.connection})
    if connections and connection not in connections:
        raise InvalidInputError(
            f"{regulation.id} states limits by connection; {connection!r} is not one of {', '.join(connections)}"
        )
    groups: dict[object, list[tuple[int, Limit]]] = {}
    for i, limit in of_class:
        if limit.connection in (None, connection):
            groups.setdefault(table_influences(limit), []).append((i, limit))
    marks = tuple(mark for medium in regulation.media for mark in MARKS[medium])
    return [
        LimitTable(tuple(_zone(i, limit, accuracy_class, marks) for i, limit in group), group[0][1])
        for group in groups.values()
    ]


def _parse_stage(stage: Stage | str) -> Stage:
    try:
        return Stage(stage)
    except ValueError:
        raise InvalidInputError(f"stage {stage!r} is unknown; use one of {', '.join(Stage)}") from None


def _zone(index: int, limit: Limit, accuracy_class: str, marks: tuple[str, ...]) -> Zone:
    def bound(text: str | None) -> Bound | None:
        return None if text is None else parse_bound(text, marks)

    return Zone(index, limit.mpe_pct[accuracy_class], bound(limit.lower), bound(limit.upper), bound(limit.inverse_of))
