"""The evidence of one meter's assessment, as plain data and as lines for people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from meterproof.console import out, print_table
from metrology.errors import MeterproofError
from metrology.quantities import BASE_UNIT, Medium
from store.findings import FindingDraft
from store.registry import Meter, Zone
from store.times import to_datetime
from verifier.evidence import Comparison
from verifier.explanation import Explanation
from verifier.limits import running_limit
from verifier.settings import VerifierSettings
from verifier.zone_window import MemberSeries, MeterAssessment


def explanation_data(
    zone: Zone,
    meter: Meter,
    one: MeterAssessment,
    told: Explanation | None,
    serials: Mapping[int, str],
    members: Sequence[MemberSeries],
    settings: VerifierSettings,
    comparisons: Sequence[Comparison] = (),
    findings: Iterable[FindingDraft] = (),
) -> dict[str, Any]:
    """Enough to make the estimate again: everything that went into it, by name and with units."""
    references = [serials.get(member.meter_id, "") for member in members if member.is_reference]
    data: dict[str, Any] = {
        "zone": zone.code,
        "medium": zone.medium,
        "meter": meter.serial,
        "window_start": _time(one.start_us),
        "window_end": _time(one.end_us),
        "interval_s": zone.interval_s,
        "references": references,
        "reference_uncertainty_pct": zone.reference_uncertainty_pct,
        "customers": sum(not member.is_reference for member in members),
        "outcome": one.outcome.value,
        "error_pct": one.error_pct,
        "std_pct": one.std_pct,
        "p_nonconforming": one.p_nonconforming,
        "limit": limit_data(meter, one.mpe_pct, settings),
        "thresholds": {
            "alarm_probability": settings.balance.alarm_probability,
            "clear_probability": settings.balance.clear_probability,
            "persistence_days": settings.balance.persistence_days,
        },
        "reasons": [asdict(reason) for reason in one.reasons],
        "comparisons": [_comparison(one) for one in comparisons if one.meter_id == meter.meter_id],
        "register_findings": [_finding(draft) for draft in findings if draft.meter_id == meter.meter_id],
    }
    if told is not None:
        data |= _balance_data(meter, told, serials, settings)
    return data


def limit_data(meter: Meter, mpe_pct: float | None, settings: VerifierSettings) -> dict[str, Any]:
    """The limit in service and where it stands."""
    if meter.mpe_pct is not None:
        return {"mpe_pct": mpe_pct, "source": "stated for this meter (mpe_pct)"}
    medium = Medium(meter.medium)
    try:
        limit = running_limit(settings.balance.regulation(medium), medium, meter.accuracy_class)
    except MeterproofError as error:
        return {"mpe_pct": None, "source": str(error)}
    return {
        "mpe_pct": mpe_pct,
        "source": f"{limit.regulation_id}, {limit.clause}, confidence {limit.confidence}",
        "accuracy_class": meter.accuracy_class,
    }


def _balance_data(
    meter: Meter, told: Explanation, serials: Mapping[int, str], settings: VerifierSettings
) -> dict[str, Any]:
    own = meter.prior_sd_pct is not None
    worst = sorted(told.collected.items(), key=lambda item: item[1])[:5]
    return {
        "readings": {
            "count": told.readings,
            "first": _time(told.first_us),
            "last": _time(told.last_us),
            "collected_pct": 100 * told.collected[meter.meter_id],
            "zone_collected_pct": 100 * sum(told.collected.values()) / len(told.collected),
            "least_collected_pct": {serials.get(i, str(i)): 100 * share for i, share in worst},
        },
        "balance": {
            "intervals": told.intervals,
            "noise": told.noise,
            "noise_of_resolution": told.quantisation,
            "unit": BASE_UNIT[Medium(meter.medium)],
            "autocorrelation": told.autocorrelation,
            "error_pct": told.error_pct,
            "std_pct": told.std_pct,
        },
        "prior": {
            "mean_pct": 0.0,
            "sd_pct": told.prior_sd_pct,
            "source": "stated for this meter (prior_sd_pct)"
            if own
            else f"settings, balance.prior_sd_{meter.medium}_pct",
            "widened_sd_pct": told.widened_sd_pct,
        },
        "terms_of_d_pct": {_time(day)[:10]: part for day, part in told.terms_pct},
        "d_pct": told.d_pct,
        "budget_std_pct": {part.name: part.std_pct for part in told.budget},
        "remedies": [asdict(remedy) for remedy in told.remedies],
        "information_min": settings.balance.information_min,
    }


def print_explanation(data: Mapping[str, Any]) -> None:
    """The same for people."""
    figure = _figure
    out.print(f"{data['meter']} in zone {data['zone']} ({data['medium']})", style="bold", markup=False)
    limit = data["limit"]
    lines = [
        f"outcome: {data['outcome']}",
        f"error {figure(data['error_pct'])} %, standard uncertainty {figure(data['std_pct'])} %,"
        f" probability of nonconformity {figure(data['p_nonconforming'])}",
        f"limit in service: {figure(limit['mpe_pct'])} %, {limit['source']}",
        f"window: {data['window_start']} to {data['window_end']}, intervals of {data['interval_s']} s",
        f"reference: {', '.join(data['references']) or 'none'}, uncertainty {data['reference_uncertainty_pct']:g} %;"
        f" {data['customers']} customers' meters",
        *(f"reason {one['code']}: {one['text']}" for one in data["reasons"]),
        *(
            f"comparison ({one['kind']}) {one['start']} to {one['end']}: error {one['error_pct']:.4g} %,"
            f" standard uncertainty {one['std_pct']:.4g} %"
            for one in data["comparisons"]
        ),
        *(
            f"finding {one['kind']}: {one['start']} to {'now' if one['detail'].get('ongoing') else one['end']}"
            for one in data["register_findings"]
        ),
    ]
    for line in lines:
        out.print(line, markup=False)
    if "balance" in data:
        _print_balance(data)


def _print_balance(data: Mapping[str, Any]) -> None:
    readings, balance, prior = data["readings"], data["balance"], data["prior"]
    out.print(
        f"readings: {readings['count']:,} from {readings['first']} to {readings['last']}; collected"
        f" {readings['collected_pct']:.2f} %, the zone {readings['zone_collected_pct']:.2f} %",
        markup=False,
    )
    out.print(
        f"balance: {balance['intervals']:,} intervals, noise {balance['noise']:.4g} {balance['unit']} each"
        f" (of resolution {balance['noise_of_resolution']:.4g}), autocorrelation {balance['autocorrelation']:.2f};"
        f" error {balance['error_pct']:.4f} %, standard uncertainty {balance['std_pct']:.4f} %",
        markup=False,
    )
    out.print(
        f"prior: mean 0, standard deviation {prior['sd_pct']:g} % ({prior['source']}),"
        f" widened by the data to {prior['widened_sd_pct']:.4g} %",
        markup=False,
    )
    terms = [[day, f"{part:+.5f}"] for day, part in data["terms_of_d_pct"].items()]
    title = f"terms of d = 1/(1 + e) - 1 [%], sum {data['d_pct']:+.5f}"
    print_table(title, ["day (UTC)", "term"], terms)
    parts = [[name, f"{std:.4f}"] for name, std in data["budget_std_pct"].items()]
    print_table(f"standard uncertainty {balance['std_pct']:.4f} %", ["component", "std [%]"], parts)
    remedies = [
        [one["text"], f"{one['std_pct']:.4f}", f"{one['gain_nat']:.3f}", "yes" if one["decidable"] else "no"]
        for one in data["remedies"]
    ]
    print_table("what would make it surer", ["remedy", "std [%]", "gain [nat]", "decidable"], remedies)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _comparison(one: Comparison) -> dict[str, Any]:
    plain = asdict(one)
    del plain["meter_id"], plain["start_us"], plain["end_us"]
    return plain | {"start": _time(one.start_us), "end": _time(one.end_us)}


def _finding(draft: FindingDraft) -> dict[str, Any]:
    return {
        "kind": draft.kind,
        "severity": draft.severity,
        "start": _time(draft.starts_us),
        "end": _time(draft.ends_us),
        "detail": draft.detail,
        "evidence": draft.evidence,
    }


def _time(time_us: int) -> str:
    return to_datetime(time_us).isoformat().replace("+00:00", "Z")
