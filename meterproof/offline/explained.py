"""The evidence of a meter that was judged from files (`assess --explain`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from meterproof.console import out
from meterproof.explanation import explanation_data, print_explanation
from meterproof.offline.inputs import Inputs
from meterproof.version import software_version
from metrology.errors import InvalidInputError
from metrology.quantities import MICRO, Medium
from store.times import to_datetime
from verifier.explanation import explain_assessment
from verifier.follower import settings_digest
from verifier.light_load import small_loads
from verifier.low_flow_outlook import low_flow_unknown, whole_weeks
from verifier.offline import MeterVerdict, ZoneVerdict
from verifier.offline_days import checked_until, comparisons_until, members_until
from verifier.pair_comparison import cumulative
from verifier.settings import VerifierSettings


def check_explained(serials: Sequence[str], given: Inputs) -> None:
    """Raises InvalidInputError for a meter that is not there, before the work is done."""
    known = {meter.serial for meter in given.registry.meters}
    for serial in serials:
        if serial not in known:
            raise InvalidInputError(f"--explain {serial!r}: the meters file names no such meter; check its spelling")


def explained_meter(
    serial: str, given: Inputs, judged: Sequence[ZoneVerdict], settings: VerifierSettings
) -> dict[str, Any]:
    """The evidence of a meter's last outcome."""
    made_by = {"software_version": software_version(), "settings_digest": settings_digest(settings)[0]}
    found = next(((zone, one) for zone in judged for one in zone.meters if one.meter.serial == serial), None)
    if found is None:
        return {"meter": serial, "zone": "", "outcome": "withheld", "made_by": made_by}
    zone, one = found
    verdict = {
        "outcome": one.outcome.value,
        "reasons": [asdict(reason) for reason in one.reasons],
        "first_alert_at": None if one.first_alert_us is None else to_datetime(one.first_alert_us).isoformat(),
    }
    day = zone.last_days.get(one.meter.meter_id)
    if day is None or one.assessment is None:
        return {"meter": serial, "zone": zone.zone.code, "made_by": made_by} | verdict
    members = members_until(zone.given, day.end_us, settings)
    told = explain_assessment(members, one.assessment, day.report)
    serials = {meter.meter_id: meter.serial for meter in given.registry.meters}
    data = explanation_data(
        zone.zone, one.meter, one.assessment, told, serials, members, settings,
        comparisons_until(zone.given, day.end_us, settings), zone.given.steps.findings,
        checked_until(zone.given, day.end_us, settings),
    )  # fmt: skip
    lines = given.readings.rows["batch_id"][given.readings.rows["meter_id"] == one.meter.meter_id]
    file_lines = [int(lines.min()), int(lines.max())] if lines.size else []
    small = {"low_flow_unknown": _low_flow_unknown(zone, one, settings)}
    return data | verdict | small | {"lines_of_the_file": file_lines, "made_by": made_by}


def _low_flow_unknown(zone: ZoneVerdict, one: MeterVerdict, settings: VerifierSettings) -> list[dict[str, Any]]:
    """Why the readings can't tell lost small loads of a customer's meter, as it stands in its last place."""
    meter = one.meter
    places = [m.installation for m in zone.zone.members if m.installation.meter_id == meter.meter_id]
    if one.role != "customer" or not places:
        return []
    multiplier, medium = float(places[-1].multiplier), Medium(meter.medium)
    own, regulation = settings.light_load, settings.balance.regulation_water
    loads = small_loads(medium, meter.model, multiplier, regulation, own)
    resolution = meter.resolution_micro * multiplier / MICRO
    series = cumulative(zone.given.steps.series, meter.meter_id, resolution, -(2**62), 2**62)
    reasons = low_flow_unknown(medium, loads, whole_weeks(series, loads, own), own)
    return [asdict(reason) for reason in reasons]


def print_explained(data: Mapping[str, Any]) -> None:
    """The same for people."""
    if "limit" in data:
        print_explanation(data)
    else:
        out.print(f"{data['meter']}: {data['outcome']}; nothing was estimated", markup=False)
        for reason in data.get("reasons", ()):
            out.print(f"reason {reason['code']}: {reason['text']}", markup=False)
    if data.get("lines_of_the_file"):
        first, last = data["lines_of_the_file"]
        out.print(f"readings stand in lines {first} to {last} of the file", markup=False)
    for reason in data.get("low_flow_unknown", ()):
        out.print(f"what can't be known of lost small loads: {reason['code']}: {reason['text']}", markup=False)
    if data.get("first_alert_at"):
        out.print(f"first alert: {data['first_alert_at']}", markup=False)
    out.print("meterproof {software_version}, settings {settings_digest}".format(**data["made_by"]), markup=False)
