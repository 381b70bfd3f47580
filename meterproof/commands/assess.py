"""`meterproof assess`: judge the meters of files of readings, without a database or a broker."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from meterproof.console import bars, err, out, print_figures, print_json
from meterproof.offline.explained import check_explained, explained_meter, print_explained
from meterproof.offline.inputs import Files, Inputs, read_inputs
from meterproof.offline.output import as_row, check_output, outcome_counts, write_verdicts
from meterproof.offline.readings_file import ReadingOptions
from meterproof.pools import pool_data, print_pools
from meterproof.settings import Settings
from meterproof.version import software_version
from metrology.errors import InvalidInputError
from verifier.accepted import step_results
from verifier.follower import settings_digest
from verifier.offline import (
    MeterVerdict,
    ZoneVerdict,
    judge_zone,
    judge_zones,
    last_zones,
    meters_of_no_zone,
    zone_files,
)
from verifier.offline_days import ZoneFile
from verifier.offline_pooling import MediumFleet, pooled_zones
from verifier.settings import VerifierSettings

_ENCODINGS = ("utf-8", "latin-1", "cp1252", "gb18030")
_SHOWN = 5  # unknown meters and skipped rows that are named


def assess(
    context: typer.Context,
    readings: Annotated[Path, typer.Option("--readings", help="CSV or Parquet: meter, observed_at, register.")],
    meters: Annotated[Path, typer.Option("--meters", help="CSV or Parquet: meter, zone, role, medium, ...")],
    output: Annotated[Path, typer.Option("--out", "-o", help="Where to write, a row a meter: .csv or .parquet.")],
    zones: Annotated[Path | None, typer.Option("--zones", help="zone, medium, parent, interval_s, ...")] = None,
    side: Annotated[
        Path | None,
        typer.Option("--side", help="Folder with a folder a zone: resistance_ohm.npy, network.csv, conditions.csv."),
    ] = None,
    site_tests: Annotated[
        Path | None, typer.Option("--site-tests", help="meter, tested_at, error_pct, std_pct.")
    ] = None,
    explain: Annotated[
        list[str] | None, typer.Option("--explain", help="Print the evidence of this meter; may be repeated.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Draw each zone into this folder, as SVG and PNG.")
    ] = None,
    pool_priors: Annotated[
        bool, typer.Option("--pool-priors", help="Judge twice: with priors by type, lot and age of all zones' meters.")
    ] = False,
    time_zone: Annotated[str, typer.Option(help="Zone of times without an offset, e.g. Asia/Shanghai.")] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of CSV files, e.g. gb18030.")] = "utf-8",
    skip_bad_rows: Annotated[bool, typer.Option("--skip-bad-rows", help="Count rows that can't be read.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge the meters of files offline. Exit 0: judged, whatever the outcomes; 2: an input can't be used."""
    settings: Settings = context.obj
    files = Files(readings, meters, zones, side, site_tests)
    check_output(output, [one for one in (readings, meters, zones, site_tests) if one is not None])
    draw = _drawing(figures)
    options = ReadingOptions(time_zone, _encoding(encoding), skip_bad_rows)
    with bars() as progress:
        task = progress.add_task("lines read", total=None)
        given = read_inputs(files, options, settings.verifier, lambda done: progress.update(task, completed=done))
        progress.update(task, total=max(given.readings.lines, 1))
        check_explained(explain or [], given)
        judged, fleets = _judge(given, settings.verifier, progress, pools=pool_priors)
    verdicts = [one for zone in judged for one in zone.meters] + meters_of_no_zone(given.registry)
    write_verdicts(output, verdicts)
    drawn = draw(judged)
    explained = [explained_meter(serial, given, judged, settings.verifier) for serial in explain or []]
    pools = [pool_data(one.medium, one.fleet) for one in fleets]
    if as_json:
        summary = _summary(given, judged, verdicts, settings.verifier)
        shown: dict[str, Any] = {"explained": explained} if explained else {}
        shown |= {"priors": pools} if pools else {}
        print_json(summary | {"meters": [as_row(one) for one in verdicts]} | shown)
        return
    _warn(given)
    print_figures(f"{readings.name}: {len(verdicts)} meters", _figures(given, judged, verdicts))
    print_pools(pools)
    for data in explained:
        print_explained(data)
    out.print(f"written to {output}" + (f", {len(drawn)} figures to {figures}" if drawn else ""), markup=False)


def _judge(
    given: Inputs, settings: VerifierSettings, shown: Progress, *, pools: bool
) -> tuple[list[ZoneVerdict], list[MediumFleet]]:
    """The zones' verdicts, and the fleets from which their meters' priors were taken, if so asked for."""
    steps = step_results(given.readings.rows, given.registry.records, settings)
    zones = list(zone_files(given.registry, steps, given.side, given.site_tests))
    fleets: list[MediumFleet] = []
    if pools:
        first = _judged_once(zones, settings, shown)
        zones, fleets = pooled_zones(first, given.registry, settings.balance)
    judged, at = _judged_once(zones, settings, shown), last_zones(given.registry)
    return [one.of_meters({i for i, zone_id in at.items() if zone_id == one.zone.zone_id}) for one in judged], fleets


def _judged_once(zones: Sequence[ZoneFile], settings: VerifierSettings, shown: Progress) -> list[ZoneVerdict]:
    if len(zones) == 1:
        task = shown.add_task(f"days of {zones[0].zone.zone.code}", total=None)
        return [judge_zone(zones[0], settings, lambda done, of: shown.update(task, completed=done, total=of))]
    task = shown.add_task("zones", total=max(len(zones), 1))
    return judge_zones(zones, settings, lambda done: shown.update(task, completed=done))


def _drawing(folder: Path | None) -> Callable[[list[ZoneVerdict]], list[Path]]:
    """What draws the figures; asked for before the work, so that what lacks is said at once."""
    if folder is None:
        return lambda _judged: []
    try:
        from meterproof.offline.figures import draw_zones  # noqa: PLC0415  # an extra, and slow to load
    except ImportError:
        raise InvalidInputError("--figures needs matplotlib; install meterproof with its extra figures") from None
    if folder.exists() and not folder.is_dir():
        raise InvalidInputError(f"--figures {folder}: is a file; name a folder")
    return lambda judged: draw_zones(folder, judged)


def _encoding(name: str) -> Any:
    if name not in _ENCODINGS:
        raise InvalidInputError(f"--encoding {name!r} is unknown; use one of {', '.join(_ENCODINGS)}")
    return name


def _warn(given: Inputs) -> None:
    held = given.readings
    if held.unknown:
        named = ", ".join(list(held.unknown)[:_SHOWN])
        rows = sum(held.unknown.values())
        text = f"{rows:,} rows of {len(held.unknown):,} meters that the meters file does not name are left out: {named}"
        err.print(text + (", ..." if len(held.unknown) > _SHOWN else ""), style="yellow", markup=False)
    for fault in held.faults[:_SHOWN]:
        err.print(f"skipped: {fault}", style="yellow", markup=False)
    if held.skipped > _SHOWN:
        err.print(f"... and {held.skipped - _SHOWN:,} more rows skipped", style="yellow", markup=False)


def _figures(given: Inputs, judged: list[ZoneVerdict], verdicts: list[MeterVerdict]) -> dict[str, Any]:
    held = given.readings
    figures: dict[str, Any] = {"lines read": held.lines, "readings used": len(held.rows)}
    optional = {
        "bad rows skipped": held.skipped,
        "rows of unknown meters": sum(held.unknown.values()),
        "rows placed by rule in an hour that occurs twice": held.by_rule,
    }
    figures |= {name: count for name, count in optional.items() if count}
    ignored = (*held.ignored_columns, *given.registry.ignored_columns)
    figures |= {"columns without meaning here": ", ".join(ignored)} if ignored else {}
    figures |= given.notes
    figures |= {"zones": len(judged), "days assessed": sum(zone.days for zone in judged)}
    return figures | outcome_counts(verdicts)


def _summary(
    given: Inputs, judged: list[ZoneVerdict], verdicts: list[MeterVerdict], settings: VerifierSettings
) -> dict[str, Any]:
    held = given.readings
    return {
        "software_version": software_version(),
        "settings_digest": settings_digest(settings)[0],
        "lines": held.lines,
        "readings": len(held.rows),
        "skipped": held.skipped,
        "unknown_meters": dict(held.unknown),
        "placed_by_rule": held.by_rule,
        "notes": given.notes,
        "zones": [
            {
                "zone": one.zone.code,
                "medium": one.zone.medium,
                "interval_s": one.zone.interval_s,
                "reference_uncertainty_pct": one.zone.reference_uncertainty_pct,
                "days": one.days,
            }
            for one in judged
        ],
        "outcomes": outcome_counts(verdicts),
    }
