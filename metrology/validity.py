"""How long a verification holds: the interval or limit of use that a regulation states for a meter."""

from dataclasses import dataclass
from datetime import date

from metrology.arrays import finite_scalar
from metrology.errors import InvalidInputError
from metrology.regulation import check_day, reason_not_stated, require_in_force
from metrology.regulation_schema import Regulation, ValidityRule


@dataclass(frozen=True, kw_only=True)
class MeterTraits:
    """What a period of validity may depend on: class, nominal diameter [mm], flow rates [m3/h], family of gas."""

    accuracy_class: str | None = None
    nominal_diameter_mm: float | None = None
    q3_m3ph: float | None = None
    q_max_m3ph: float | None = None
    gas_family: str | None = None


@dataclass(frozen=True)
class Validity:
    """`until` is the first day that the verification no longer covers; `rule` states kind, years and clause."""

    until: date
    regulation_id: str
    rule: ValidityRule


def validity_until(regulation: Regulation, verified_on: date, traits: MeterTraits) -> Validity:
    """Until when a verification of `verified_on` holds, and the rule it follows from.

    Raises InvalidInputError when the edition is not in force on that day, when a trait that decides is missing, or when
    the regulation states no period for such a meter.
    """
    require_in_force(regulation, verified_on)
    rule = validity_rule(regulation, traits)
    return Validity(add_years(verified_on, rule.years), regulation.id, rule)


def validity_rule(regulation: Regulation, traits: MeterTraits) -> ValidityRule:
    """The period that applies to a meter. Raises InvalidInputError with the trait that is missing or the valid ones."""
    for name, value in _values(traits):
        if value is not None:
            finite_scalar(name, value, above=0.0)
    missing: list[str] = []
    for rule in regulation.validity:
        unknown = _unknown_traits(rule, traits)
        if _excluded(rule, traits):
            continue
        if not unknown:
            return rule
        missing += [name for name in unknown if name not in missing]
    if missing:
        raise InvalidInputError(f"the period of validity of {regulation.id} depends on {', '.join(missing)}; give it")
    reason = reason_not_stated(regulation, "validity")
    stated = "; ".join(conditions_text(rule) for rule in regulation.validity)
    raise InvalidInputError(
        f"{regulation.id} states no period of validity for {traits}"
        + (f", but for {stated}" if stated else "")
        + (f": {reason}" if reason else "")
    )


def add_years(day: date, years: int) -> date:
    """The same day some years later; 29 February becomes 1 March where there is none, so that whole years pass."""
    check_day(day)
    if not date.min.year <= day.year + years <= date.max.year:
        raise InvalidInputError(f"{years} years after {day.isoformat()} is beyond the calendar; check the date")
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def conditions_text(rule: ValidityRule) -> str:
    """The meters that a rule is for, in words."""
    words = [f"class {', '.join(rule.accuracy_classes)}"] if rule.accuracy_classes else []
    words += [f"gas {', '.join(rule.gas_families)}"] if rule.gas_families else []
    for label, unit, above, most in _ranges(rule):
        if above is not None:
            words.append(f"{label} above {above:g} {unit}")
        if most is not None:
            words.append(f"{label} up to {most:g} {unit}")
    return ", ".join(words) or "every meter"


def _ranges(rule: ValidityRule) -> list[tuple[str, str, float | None, float | None]]:
    return [
        ("nominal diameter", "mm", rule.nominal_diameter_mm_above, rule.nominal_diameter_mm_max),
        ("Q3", "m3/h", rule.q3_m3ph_above, rule.q3_m3ph_max),
        ("q_max", "m3/h", rule.q_max_m3ph_above, rule.q_max_m3ph_max),
    ]


def _values(traits: MeterTraits) -> list[tuple[str, float | None]]:
    return [
        ("nominal_diameter_mm", traits.nominal_diameter_mm),
        ("q3_m3ph", traits.q3_m3ph),
        ("q_max_m3ph", traits.q_max_m3ph),
    ]


def _unknown_traits(rule: ValidityRule, traits: MeterTraits) -> list[str]:
    unknown = ["accuracy_class"] if rule.accuracy_classes and traits.accuracy_class is None else []
    unknown += ["gas_family"] if rule.gas_families and traits.gas_family is None else []
    for (name, value), (_, _, above, most) in zip(_values(traits), _ranges(rule), strict=True):
        if value is None and (above is not None or most is not None):
            unknown.append(name)
    return unknown


def _excluded(rule: ValidityRule, traits: MeterTraits) -> bool:
    """Whether a known trait lies outside the rule; bounds named `above` are excluded, those named `max` included."""
    if rule.accuracy_classes and traits.accuracy_class not in (None, *rule.accuracy_classes):
        return True
    if rule.gas_families and traits.gas_family not in (None, *rule.gas_families):
        return True
    for (_, value), (_, _, above, most) in zip(_values(traits), _ranges(rule), strict=True):
        if value is None:
            continue
        if (above is not None and value <= above) or (most is not None and value > most):
            return True
    return False
