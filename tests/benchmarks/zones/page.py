"""The page of the benchmark: tables by class of zone, the method beside its peers."""

import platform
from collections.abc import Mapping, Sequence

from zones.metrics import ClassFigures, figures, percentage, pooled
from zones.peers import PEERS
from zones.running import CHANGING_WINDOW_DAYS, CHECKPOINTS, ZoneRun
from zones.scoring import PeerScore

Runs = Mapping[str, Sequence[ZoneRun]]
METHOD = "zone balance"


def page(runs: Runs, seeds: str, every_days: int, minutes: float) -> str:
    """The whole page."""
    made = sorted({run.made_of for held in runs.values() for run in held})
    zones = sum(len(held) for held in runs.values())
    told = [figures(held) for held in runs.values()]
    parts = [
        "# Benchmark: the zone balance on zones of independent physics",
        f"{zones} zones of {len(runs)} classes, 90 days each, seeds {seeds} (nothing was tuned on them), every zone"
        f" assessed at {'every' if every_days == 1 else f'every {every_days}th'} day's end from the fourth on;"
        f" {minutes:.0f} min on 2 processors, Python {platform.python_version()}. Made of: {'; '.join(made)}."
        " How the zones are made: [zones](zone-balance-zones.md). Measured by `make bench-balance`.",
        _section("Estimates of meters without a fault", ESTIMATES_NOTE, ESTIMATE_HEADER, [_estimate(f) for f in told]),
        _section("Verdicts and alerts", VERDICTS_NOTE, VERDICT_HEADER, [_verdict(f) for f in told]),
        _section("RMSE beside the peers [%]", PEERS_NOTE, _peer_header(), [_peer_rmse(held) for held in runs.values()]),
        _section("Uncertainty and verdicts beside the peers", PEER_VERDICTS_NOTE, PEER_VERDICT_HEADER, _verdicts(runs)),
        _section("How the error falls with days and grows with meters [%]", "", DAYS_HEADER, _by_days(runs)),
        _section("Time by meter and interval [us]", SPEED_NOTE, _peer_header(), [_speed(h) for h in runs.values()]),
    ]
    return "\n\n".join(parts) + "\n"


ESTIMATES_NOTE = (
    "RMSE at the last day against the truth of the estimate's own window, pooled over zones; where nothing was"
    " estimated the prior stands. *Not worse*: zones in which it is at most that of the prior. *Covered*: the truth"
    " within ± 1.96 standard uncertainties, of the window's mean and of the last week, over all customers that were not"
    " withheld, foreign and swapped ones apart, at every tenth day's end."
)
ESTIMATE_HEADER = (
    "| Class | zones | RMSE [%] | prior [%] | not worse | worst ratio | covered [%] | last week [%] | mean std [%] |"
    " withheld [%] |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)
VERDICTS_NOTE = (
    "An alert is a meter's first persistent run of nonconforming days; right if the error was beyond the limit that"
    " day, in its week or in the window. *Decidable*: beyond the limit by more than 1.645 of the posterior's own"
    " standard deviations at the end, ten days or more after leaving the limit. Delays from leaving the limit, medians."
)
VERDICT_HEADER = (
    "| Class | bad | decidable | recall | alerts right | wrong | precision | wrong per 1,000 meter-months | step [d] |"
    " drift [d] | stopped [d] | reversed [d] |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)
PEERS_NOTE = (
    "Meters without a fault, pooled over zones. The peers get complete intervals and the whole case, or its last"
    f" {CHANGING_WINDOW_DAYS} days where errors change; gas converted by the ambient conditions. RLS is left out where"
    " its package would need gigabytes."
)
PEER_VERDICTS_NOTE = (
    "Covered: as above, for the peers at the end. Found: of the meters beyond their limit; false: of the others. A peer"
    " tells a meter if its estimate at the end is beyond the limit, with 95 % where it states an uncertainty; the"
    " method by its alerts, over the whole time. Classes with bad meters only."
)
PEER_VERDICT_HEADER = "| Class | estimator | covered [%] | found | false |\n|---|---|--:|--:|--:|"
DAYS_HEADER = (
    "| Class | estimator | "
    + " | ".join(f"{day} d" for day in CHECKPOINTS)
    + " |\n|---|---|"
    + "--:|" * len(CHECKPOINTS)
)
SPEED_NOTE = "The method over all its days' assessments; a peer for its one estimate. IO and making the zone apart."


def _section(title: str, note: str, header: str, rows: Sequence[str]) -> str:
    return f"## {title}\n\n" + (f"{note}\n\n" if note else "") + header + "\n" + "\n".join(rows)


def _estimate(one: ClassFigures) -> str:
    return _row(
        one.zone_class, str(one.zones), f"{one.rmse_pct:.3f}", f"{one.prior_rmse_pct:.3f}",
        f"{one.not_worse} of {one.zones}", f"{one.worst_ratio:.2f}", _number(one.coverage_pct, 1),
        _number(one.coverage_now_pct, 1), _number(one.mean_std_pct, 2), f"{one.withheld_pct:.1f}",
    )  # fmt: skip


def _verdict(one: ClassFigures) -> str:
    return _row(
        one.zone_class, str(one.bad), str(one.decidable), _number(one.recall, 2), str(one.right_alerts),
        str(one.wrong_alerts), _number(one.precision, 2), f"{one.wrong_per_1000_meter_months:.1f}",
        *(_number(delay, 1) for delay in one.delays_days.values()),
    )  # fmt: skip


def _peer_header() -> str:
    return f"| Class | {METHOD} | " + " | ".join(PEERS) + " |\n|---|--:|" + "--:|" * len(PEERS)


def _peer_rmse(held: Sequence[ZoneRun]) -> str:
    method = f"{pooled(run.zone.rmse_pct for run in held):.3f}"
    return _row(held[0].zone.zone_class, method, *(_number(_rmse(_of(held, peer)), 3) for peer in PEERS))


def _rmse(scores: Sequence[PeerScore]) -> float | None:
    return pooled(score.rmse_pct for score in scores) if scores else None


def _of(held: Sequence[ZoneRun], peer: str) -> list[PeerScore]:
    return [score for run in held for score in run.peers if score.peer == peer]


def _verdicts(runs: Runs) -> list[str]:
    rows = []
    for name, held in runs.items():
        bad = [one for run in held for one in run.zone.bad]
        if bad:
            found = sum(one.delay_days is not None for one in bad)
            wrong = sum(not alert.right for run in held for alert in run.zone.alerts)
            others = sum(run.zone.customers for run in held) - len(bad)
            covered = _number(percentage(run.zone.covered for run in held), 1)
            rows.append(_row(name, METHOD, covered, f"{found} of {len(bad)}", f"{wrong} of {others:,}"))
        for peer in PEERS:
            scores = _of(held, peer)
            found, false = ([getattr(score, kind) for score in scores] for kind in ("found", "false"))
            if sum(asked for _, asked in found):
                covered = percentage(score.covered for score in scores if score.covered)
                rows.append(_row(name, peer, _number(covered, 1), *(_share(counts) for counts in (found, false))))
    return rows


def _share(counts: Sequence[tuple[int, int]]) -> str:
    return f"{sum(hit for hit, _ in counts)} of {sum(asked for _, asked in counts):,}"


def _by_days(runs: Runs) -> list[str]:
    rows = []
    for name, held in runs.items():
        if not held[0].peers_by_day:
            continue
        method = [[run.zone.rmse_by_day[d] for run in held if d in run.zone.rmse_by_day] for d in CHECKPOINTS]
        rows.append(_row(name, METHOD, *(_number(pooled(m) if m else None, 3) for m in method)))
        for peer in PEERS:
            at = [
                [s for run in held for s in run.peers_by_day.get(d, run.peers if d == 90 else ()) if s.peer == peer]
                for d in CHECKPOINTS
            ]
            if any(at):
                rows.append(_row(name, peer, *(_number(_rmse(scores), 3) for scores in at)))
    return rows


def _speed(held: Sequence[ZoneRun]) -> str:
    meters = sum(run.meter_intervals for run in held)
    method = f"{1e6 * sum(run.zone.seconds for run in held) / meters:.2f}"
    cells = []
    for peer in PEERS:
        of = [(score.seconds, run.meter_intervals) for run in held for score in run.peers if score.peer == peer]
        cells.append(f"{1e6 * sum(s for s, _ in of) / sum(m for _, m in of):.2f}" if of else "–")
    return _row(held[0].zone.zone_class, method, *cells)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
