"""The page of the benchmark: tables by class of zone, the method beside its peers."""

import platform
from collections.abc import Sequence

from zones.aims import Aim, Runs, aims_of
from zones.metrics import ClassFigures, figures, percentage, pooled
from zones.peers import PEERS
from zones.running import CHANGING_WINDOW_DAYS, ZoneRun
from zones.scoring import CHECKPOINTS, PeerScore

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
        " How the zones are made: [zones](zone-balance-zones.md). Speed beside the peers:"
        " [speed](zone-balance-speed.md). Measured by `make bench-balance`.",
        _section("The aims", AIMS_NOTE, AIMS_HEADER, [_aim(one) for one in aims_of(runs)]),
        _section("Estimates", ESTIMATES_NOTE, ESTIMATE_HEADER, [_estimate(f) for f in told]),
        _section("Verdicts and alerts", VERDICTS_NOTE, VERDICT_HEADER, [_verdict(f) for f in told]),
        _section("RMSE beside the peers [%]", PEERS_NOTE, _peer_header(), [_peer_rmse(held) for held in runs.values()]),
        _section("Uncertainty and verdicts beside the peers", PEER_VERDICTS_NOTE, PEER_VERDICT_HEADER, _verdicts(runs)),
        _section("How the error falls with days and grows with meters [%]", DAYS_NOTE, DAYS_HEADER, _by_days(runs)),
        _section("Time of all days' assessments", SPEED_NOTE, SPEED_HEADER, [_speed(held) for held in runs.values()]),
    ]
    return "\n\n".join(parts) + "\n"


AIMS_NOTE = "Over all zones of this run, or the classes named."
AIMS_HEADER = "| Aim | measured | met |\n|---|---|---|"
ESTIMATES_NOTE = (
    "At the last day's end, against the truth of that day, pooled over zones; where nothing was estimated the prior"
    " stands. *RMSE*: meters without a fault; *prior*: guessing zero there; *open*: zones whose gate stood open at the"
    " last day's end (their number in brackets); *all*: all meters that register what flows through them, changed ones"
    " too. *Not worse*: zones in which it is at most that of the prior. *Covered*: the truth within ± 1.96 standard"
    " uncertainties, at every tenth day's end, over all meters that register (stopped, reversed, foreign and swapped"
    " ones apart), withheld or not; *open*: where the gate stood open; *week*: the error of the last week instead of"
    " the last day."
)
ESTIMATE_HEADER = (
    "| Class | zones | RMSE [%] | prior [%] | open [%] | all [%] | not worse | worst ratio | covered [%] | open [%] |"
    " week [%] | mean std [%] | gate open [% of days] | decidable at the end [%] |\n|---|" + "--:|" * 13
)
VERDICTS_NOTE = (
    "An alert is a run of three nonconforming days; `stopped` and `reversed_running` count at once. False: the error"
    " was within the limit that day and the meter neither stopped nor reversed; *other*: foreign or swapped, the"
    " series shows another's quantities. *Bad*: beyond the limit for ten days or more before the end. *Decidable*: said"
    " so by the method on some day after the meter left the limit; *clear*: beyond the limit by more than 1.645 of the"
    " posterior's own standard deviations on some such day. Delays from leaving the limit to the alert's day's end,"
    " medians."
)
VERDICT_HEADER = (
    "| Class | bad | told | decidable | recall | clear | recall | alerts right | false | other | precision |"
    " false per 1,000 meter-months | step [d] | drift [d] | stopped [d] | reversed [d] |\n|---|" + "--:|" * 15
)
PEERS_NOTE = (
    "Meters without a fault, pooled over zones. The peers get complete intervals and the whole case, or its last"
    f" {CHANGING_WINDOW_DAYS} days where errors change; gas converted by the ambient conditions. RLS is left out where"
    " its package would need gigabytes."
)
PEER_VERDICTS_NOTE = (
    "Covered: as above, for the peers at the end and of their days' mean. Found: of the meters beyond their limit;"
    " false: of the others. A peer tells a meter if its estimate at the end is beyond the limit, with 95 % where it"
    " states an uncertainty; the method by its alerts, over the whole time. Classes with bad meters only."
)
PEER_VERDICT_HEADER = "| Class | estimator | covered [%] | found | false |\n|---|---|--:|--:|--:|"
DAYS_NOTE = "Zones without faults; meters without a fault, by days of readings."
DAYS_HEADER = (
    "| Class | estimator | "
    + " | ".join(f"{day} d" for day in CHECKPOINTS)
    + " |\n|---|---|"
    + "--:|" * len(CHECKPOINTS)
)
SPEED_NOTE = "One processor, reading the case apart, both processors at work."
SPEED_HEADER = "| Class | meters | a zone [s] |\n|---|--:|--:|"


def _section(title: str, note: str, header: str, rows: Sequence[str]) -> str:
    return f"## {title}\n\n" + (f"{note}\n\n" if note else "") + header + "\n" + "\n".join(rows)


def _aim(one: Aim) -> str:
    return _row(one.text, one.figure, {True: "met", False: "**missed**", None: "–"}[one.is_met])


def _estimate(one: ClassFigures) -> str:
    still_open = f"{_number(one.open_rmse_pct, 3)} ({one.open_zones})"
    return _row(
        one.zone_class, str(one.zones), f"{one.rmse_pct:.3f}", f"{one.prior_rmse_pct:.3f}", still_open,
        f"{one.all_rmse_pct:.3f}", f"{one.not_worse} of {one.zones}", f"{one.worst_ratio:.2f}",
        _number(one.coverage_pct, 1), _number(one.open_coverage_pct, 1), _number(one.week_coverage_pct, 1),
        _number(one.mean_std_pct, 2), f"{one.open_days_pct:.0f}", f"{one.decidable_now_pct:.0f}",
    )  # fmt: skip


def _verdict(one: ClassFigures) -> str:
    return _row(
        one.zone_class, str(one.bad), str(one.told), str(one.decidable), _number(one.recall, 2), str(one.clear),
        _number(one.clear_recall, 2), str(one.right_alerts), str(one.false_alerts), str(one.other_alerts),
        _number(one.precision, 2), f"{one.false_per_1000_meter_months:.1f}",
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
            wrong = sum(alert.verdict == "false" for run in held for alert in run.zone.alerts)
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
    seconds = sum(run.zone.seconds for run in held) / len(held)
    return _row(held[0].zone.zone_class, str(held[0].zone.customers), f"{seconds:.1f}")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
