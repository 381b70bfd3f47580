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
from verifier.balance.types import Comparison, MemberSeries, MeterAssessment
from verifier.explanation import Explanation
from verifier.limits import running_limit
from verifier.pair_comparison import FoundComparison
from verifier.settings import VerifierSettings


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
    tried: Sequence[FoundComparison] = (),
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
        "comparisons_tried": [_tried(one) for one in tried if one.meter_id == meter.meter_id],
        "register_findings": [_finding(draft) for draft in findings if draft.meter_id == meter.meter_id],
    }
    if told is not None:
        data |= _balance_data(meter, told, settings)
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


def _balance_data(meter: Meter, told: Explanation, settings: VerifierSettings) -> dict[str, Any]:
    report = told.report
    since_us = report.unmetered_since_us
    return {
        "decidable": told.decidable,
        "change_at": None if told.change_us is None else _time(told.change_us),
        "readings": {"count": told.readings, "first": _time(told.first_us), "last": _time(told.last_us)},
        "balance": {
            "groups": report.groups,
            "collected_pct": report.collected_pct,
            "loss_pct": report.loss_pct,
            "noise_share_pct": report.noise_share_pct,
            "unmetered": report.unmetered,
            "unmetered_since": None if since_us is None else _time(since_us),
            "unit": BASE_UNIT[Medium(meter.medium)],
            "decidable_meters": len(report.decidable),
            "reasons": [asdict(reason) for reason in report.reasons],
        },
        "prior": {
            "mean_pct": told.prior_mean_pct,
            "sd_pct": told.prior_sd_pct,
            "common_pct": told.prior_common_pct,
            "source": told.prior_source,
        },
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
    _print_tried(data["comparisons_tried"])
    if "balance" in data:
        _print_balance(data)


def _print_tried(tried: Sequence[Mapping[str, Any]]) -> None:
    for one in tried:
        for reason in one["reasons"]:
            text = f"no comparison ({one['kind']}): {reason['code']}: {reason['text']}"
            out.print(text, markup=False)
        if one["budget"]:
            rows = [[line["name"], f"{line['std_pct']:.4f}", line["source"]] for line in one["budget"]]
            print_table(f"budget of the comparison ({one['kind']})", ["line", "std [%]", "source"], rows)


def _print_balance(data: Mapping[str, Any]) -> None:
    readings, balance, prior = data["readings"], data["balance"], data["prior"]
    out.print(f"readings: {readings['count']:,} from {readings['first']} to {readings['last']}", markup=False)
    out.print(
        f"zone: {balance['groups']:,} groups of data, collected {balance['collected_pct']:.2f} %,"
        f" losses {_figure(balance['loss_pct'])} %, noise of an interval {_figure(balance['noise_share_pct'])} % of the"
        f" mean load; {balance['decidable_meters']} meters are decidable",
        markup=False,
    )
    if balance["unmetered"] is not None:
        out.print(
            f"unmetered load: {balance['unmetered']:.4g} {balance['unit']} an interval since"
            f" {balance['unmetered_since']}",
            markup=False,
        )
    out.print(
        f"prior: mean {prior['mean_pct']:.4g} %, standard deviation {prior['sd_pct']:.4g} %"
        + ("" if prior["common_pct"] is None else f", {prior['common_pct']:.4g} % in common with its like")
        + f" ({prior['source']});"
        f" {'decidable' if data['decidable'] else 'not decidable'}",
        markup=False,
    )
    if data["change_at"]:
        out.print(f"the error left its former level about {data['change_at']}", markup=False)
    parts = [[name, f"{std:.4f}"] for name, std in data["budget_std_pct"].items()]
    print_table(f"standard uncertainty {data['std_pct']:.4f} %", ["component", "std [%]"], parts)
    remedies = [[one["text"], str(one["newly_decidable"]), f"{one['std_fall_pct']:.4f}"] for one in data["remedies"]]
    print_table("what would make the zone surer", ["remedy", "newly decidable", "mean std falls by [%]"], remedies)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _comparison(one: Comparison) -> dict[str, Any]:
    plain = asdict(one)
    del plain["meter_id"], plain["start_us"], plain["end_us"]
    return plain | {"start": _time(one.start_us), "end": _time(one.end_us)}


def _tried(one: FoundComparison) -> dict[str, Any]:
    """A comparison's lines, each with what it brings to the standard uncertainty [%], or why there is none."""
    lines = () if one.budget is None else one.budget.components
    budget = [{"name": line.name, "std_pct": abs(line.contribution), "source": line.source} for line in lines]
    return {"kind": one.kind, "budget": budget, "reasons": [asdict(reason) for reason in one.reasons]}


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
