"""The loads at which a regulation requires the error to be tested, by medium, class and connection."""

from collections.abc import Mapping
from dataclasses import dataclass

from metrology.errors import InvalidInputError
from metrology.load_marks import LOAD_UNIT, MARKS, check_marks, parse_bound
from metrology.regulation import reason_not_stated
from metrology.regulation_schema import Connection, PointRule, Regulation, Stage


@dataclass(frozen=True)
class RequiredPoint:
    """A load from `load_from` to `load_to` [A or m3/h], equal where the regulation names one load."""

    rule: PointRule
    load_from: float
    load_to: float
    unit: str

    def includes(self, load: float) -> bool:
        """Whether a test at this load meets the point where it is a range; both ends belong to it."""
        return self.load_from <= load <= self.load_to


def point_rules(
    regulation: Regulation, stage: Stage | str, accuracy_class: str, connection: Connection | None = None
) -> tuple[PointRule, ...]:
    """The points for a stage, class and connection. Raises InvalidInputError with the valid choices."""
    points = [p for p in regulation.test_points if p.stage == stage]
    if not points:
        stages = ", ".join(sorted({p.stage for p in regulation.test_points})) or "none"
        reason = reason_not_stated(regulation, "test points")
        raise InvalidInputError(
            f"{regulation.id} states no test points at stage {str(stage)!r} (it has {stages})"
            + (f": {reason}" if reason else "")
        )
    classes = sorted(
        {c for p in points for c in p.accuracy_classes} or {c for m in regulation.limits for c in m.mpe_pct}
    )
    if accuracy_class not in classes:
        raise InvalidInputError(
            f"accuracy class {accuracy_class!r} is unknown to {regulation.id}; use one of {', '.join(classes)}"
        )
    points = [p for p in points if not p.accuracy_classes or accuracy_class in p.accuracy_classes]
    connections = sorted({p.connection for p in points if p.connection})
    if connections and connection not in connections:
        raise InvalidInputError(
            f"{regulation.id} states test points by connection; {connection!r} is not one of {', '.join(connections)}"
        )
    return tuple(p for p in points if p.connection in (None, connection))


def required_points(
    regulation: Regulation,
    stage: Stage | str,
    accuracy_class: str,
    marks: Mapping[str, float],
    connection: Connection | None = None,
) -> tuple[RequiredPoint, ...]:
    """The points as loads [A or m3/h] of a meter with these marks. Raises InvalidInputError with the valid choices."""
    rules = point_rules(regulation, stage, accuracy_class, connection)
    medium = regulation.media[0]
    bounds = [(parse_bound(r.load, MARKS[medium]), parse_bound(r.load_to or r.load, MARKS[medium])) for r in rules]
    check_marks(marks, {b.mark for pair in bounds for b in pair}, medium)
    return tuple(
        RequiredPoint(rule, float(low.value(marks)), float(high.value(marks)), LOAD_UNIT[medium])
        for rule, (low, high) in zip(rules, bounds, strict=True)
    )
