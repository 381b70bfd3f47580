"""The limit that a meter's running error is held against."""

from metrology.errors import MeterproofError
from metrology.mpe import ApplicableLimit, Conditions, applicable_limit
from metrology.quantities import Medium
from metrology.regulation import get_regulation
from store.registry import Meter
from verifier.settings import VerifierSettings

# A running error is weighted by consumption, which flows in the upper zone of loads. Its limit does not depend on the
# meter's size, so any ascending marks will do: Q3/Q1 = 100, Q2/Q1 = 1.6, Q4/Q3 = 1.25 (OIML R 49-1, 4.1) and
# Q_max/Q_min = 150 (OIML R 137-1).
_UPPER_ZONE: dict[Medium, tuple[float | None, Conditions]] = {
    Medium.ELECTRICITY: (None, Conditions()),
    Medium.WATER: (1.0, Conditions(marks={"q1": 0.01, "q2": 0.016, "q3": 1.0, "q4": 1.25}, temperature_degc=20.0)),
    Medium.GAS: (6.0, Conditions(marks={"q_min": 0.04, "q_t": 0.6, "q_max": 6.0})),
}
# OIML R 46's classes and their counterparts of IEC 62053 (practice; not identical in every figure).
_COUNTERPART = {"A": "2", "B": "1", "C": "0.5S", "D": "0.2S"}


def running_limit_pct(regulation_id: str, medium: Medium, accuracy_class: str) -> float:
    """The maximum permissible error in service [%] for a running error; raises as `running_limit`."""
    return running_limit(regulation_id, medium, accuracy_class).mpe_pct


def running_limit(regulation_id: str, medium: Medium, accuracy_class: str) -> ApplicableLimit:
    """The maximum permissible error in service for a running error, with its clause.

    Raises InvalidInputError where the regulation states none for the class, with the valid choices.
    """
    regulation = get_regulation(regulation_id)
    load, conditions = _UPPER_ZONE[medium]
    try:
        return applicable_limit(regulation, "in_service", accuracy_class, load, conditions)
    except MeterproofError:
        if medium is not Medium.ELECTRICITY or accuracy_class not in _COUNTERPART:
            raise
        return applicable_limit(regulation, "in_service", _COUNTERPART[accuracy_class], load, conditions)


def limit_of_meter_pct(meter: Meter, settings: VerifierSettings) -> float | None:
    """The limit [%] stated for the meter itself, else its class's under the regulation set; None where it has none."""
    if meter.mpe_pct is not None:
        return meter.mpe_pct
    medium = Medium(meter.medium)
    try:
        return running_limit_pct(settings.balance.regulation(medium), medium, meter.accuracy_class)
    except MeterproofError:
        return None
