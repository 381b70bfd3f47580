"""The page docs/benchmarks/ingest.md: medians, ratios against the aims, and what was lost or came twice."""

import os
import platform
from collections.abc import Sequence
from statistics import median
from typing import Final

from ingest.campaign import Plan, Sustained, of
from ingest.contestants import BARE, COPY, MQ_BRIDGE, NODE_RED, NODE_RED_BY_ROW, OURS
from ingest.measuring import Result
from ingest.servers import versions
from ingest.workload import BATCHED, METERS, SHAPES, SINGLE, Shape

_RATE_AIM, _COPY_AIM, _BARE_AIM, _NODE_RED_AIM = 250_000, 0.6, 0.7, 10.0
_INTRODUCTION: Final = """\
# From the broker into the database

Readings a second from a broker's session into PostgreSQL, side by side in one run on one machine ({machine}). The
consumer's session is made, the consumer is away while the broker is filled, then it starts: measured is the time from
its connection to the commit of its last row, by the server's own record. Medians of up to {rounds} rounds (peers
{peer_rounds}), in which the contestants take turns, in brackets the lowest and highest. Ratios carry over to other
machines within some tenths, rates do not.{load}

- **Messages**: native JSON with time, serial, register and status of each reading, {meters:,} registered meters;
  (a) 500 readings a message, {a:,} messages; (b) one reading a message, {b:,} messages;
  for the peers {pa:,} and {pb:,}.
- **meterproof**: `serve gateway` with its default settings, one process: decodes, checks, looks up identities, stores
  each reading exactly once, archives the raw messages, and acknowledges after the commit.
- **binary COPY**: the same rows made beforehand, into the same table with its key, 50,000 a transaction.
- **bare subscriber**: paho-mqtt, counts and acknowledges; no database.
- **Node-RED** 5.0.7 with node-red-contrib-postgrestor-next 0.5.2: `mqtt in`, a function, one parameterised INSERT a
  message: for (a) of all its rows by `unnest`, the fastest that the node can do, and *row by row* (a tenth of the
  messages) one a reading. It acknowledges on receipt, before anything is stored.
- **mq-bridge** 1.2.0: a route from `mqtt` to `sqlx`, `batch_size` 1000, INSERT by the payload's fields. It takes no
  packet above 10 KiB and has no setting for that, so (a), 22 KB a message, is beyond it. `queue_capacity` must exceed
  what waits, or it never sees its SUBACK behind the messages and gives up.
- Both peers write into a table of (meter, time, register, status) with the key (meter, time) and `on conflict do
  nothing`; neither knows a registry, checks a value or keeps the message.
- **PostgreSQL**, the same for all, the defaults of a new cluster: {settings}.
- **Brokers**: {versions}. nats-server as embedded; mosquitto with `persistence true` but without
  `autosave_on_changes`, with which a queue of this size does not build up (deploy/mosquitto has it on).

"""


_BUSY: Final = """

**Other work ran on the machine (load {load:.1f} before the start): all rates are too low, and the aims in readings a
second can't be judged by this run.** Run it again on an idle machine."""


def page(
    results: Sequence[Result],
    sustained: Sequence[Sustained],
    plan: Plan,
    settings: dict[str, str],
    notes: list[str],
    load_before: float,
) -> str:
    """The page as Markdown; `load_before` is the machine's load before anything was started."""
    lines = [
        _introduction(plan, settings, load_before),
        *_rates(results),
        "",
        *_aims(results),
        "",
        *_costs(results),
        "",
    ]
    lines += [*_sustained(sustained), ""]
    if notes:
        lines += ["## Left out or failed", "", *(f"- {' '.join(note.split())[:400]}" for note in notes), ""]
    return "\n".join([*lines, "Measured by `make bench-ingest`."]) + "\n"


def _introduction(plan: Plan, settings: dict[str, str], load_before: float) -> str:
    busy = load_before > 0.5
    return _INTRODUCTION.format(
        machine=f"{os.cpu_count()} processors, {platform.system()}, Python {platform.python_version()}",
        rounds=plan.rounds,
        load=_BUSY.format(load=load_before) if busy else "",
        peer_rounds=plan.peer_rounds,
        meters=METERS,
        a=plan.messages["a"],
        b=plan.messages["b"],
        pa=plan.peer_messages["a"],
        pb=plan.peer_messages["b"],
        settings=", ".join(f"`{name}={value}`" for name, value in settings.items()),
        versions=versions(),
    )


def _brokers(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.broker for result in results if result.broker))


def _rate(results: Sequence[Result]) -> str:
    if not results:
        return "–"
    rates = [result.per_s for result in results]
    lost = sum(result.sent - result.stored for result in results)
    note = f"; **lost {lost:,}**" if lost else "" if all(r.values_right for r in results) else "; **wrong values**"
    again = sum(result.duplicates for result in results)
    note += f"; {again:,} came twice, stored once" if again else ""
    return f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}){note}"


def _rates(results: Sequence[Result]) -> list[str]:
    """Readings a second of all contestants."""
    brokers = _brokers(results)
    cells = [(name, shape) for shape in SHAPES.values() for name in brokers]
    head = [f"({shape.key}) {name}" for name, shape in cells]
    lines = ["## Readings a second", "", f"| | {' | '.join(head)} |", "|---|" + "---:|" * len(head)]
    copied = _rate([result for result in results if result.contestant == COPY])
    lines.append(f"| {COPY} | {' | '.join(copied if shape == BATCHED else '' for _, shape in cells)} |")
    for contestant in (BARE, OURS, NODE_RED, NODE_RED_BY_ROW, MQ_BRIDGE):
        row = [_rate(of(results, contestant, name, shape)) for name, shape in cells]
        lines.append(f"| {contestant} | {' | '.join(row)} |")
    return [*lines, "", "Where nothing else is said, all rows sent are there, with the right sum of registers."]


def _ratio(results: Sequence[Result], other: str, name: str, shape: Shape) -> float | None:
    """The median over rounds of our rate to another's."""
    ours = [result.per_s for result in of(results, OURS, name, shape)]
    theirs = [r.per_s for r in (of(results, other, name, shape) if other != COPY else results) if r.contestant == other]
    return median(ours) / median(theirs) if ours and theirs and median(theirs) else None


def _aims(results: Sequence[Result]) -> list[str]:
    """What was aimed at, and what came out."""
    lines = ["## Against the aims", "", "| Aim | Broker | measured | |", "|---|---|---:|---|"]
    for name in _brokers(results):
        ours = [result.per_s for result in of(results, OURS, name, BATCHED)]
        aims = [
            (f"(a) at least {_RATE_AIM:,} readings/s", median(ours) if ours else None, _RATE_AIM),
            (f"(a) at least {_COPY_AIM} of binary COPY", _ratio(results, COPY, name, BATCHED), _COPY_AIM),
            (f"(b) at least {_BARE_AIM} of the bare subscriber", _ratio(results, BARE, name, SINGLE), _BARE_AIM),
            (
                f"(a) at least {_NODE_RED_AIM:g} x Node-RED, unnest",
                _ratio(results, NODE_RED, name, BATCHED),
                _NODE_RED_AIM,
            ),
            (
                f"(a) at least {_NODE_RED_AIM:g} x Node-RED, row by row",
                _ratio(results, NODE_RED_BY_ROW, name, BATCHED),
                _NODE_RED_AIM,
            ),
            (f"(b) at least {_NODE_RED_AIM:g} x Node-RED", _ratio(results, NODE_RED, name, SINGLE), _NODE_RED_AIM),
            ("(a) over mq-bridge", _ratio(results, MQ_BRIDGE, name, BATCHED), None),
            ("(b) over mq-bridge", _ratio(results, MQ_BRIDGE, name, SINGLE), None),
        ]
        for aim, measured, wanted in aims:
            if measured is None:
                lines.append(f"| {aim} | {name} | – | not measured |")
                continue
            verdict = "" if wanted is None else "met" if measured >= wanted else "**missed**"
            lines.append(f"| {aim} | {name} | {measured:,.0f} | {verdict} |" if measured > 1000 else
                         f"| {aim} | {name} | {measured:.2f} | {verdict} |")  # fmt: skip
    return lines


def _costs(results: Sequence[Result]) -> list[str]:
    """Processor time and memory of the consumer's process, for the same work a machine-independent comparison."""
    lines = [
        "## What it costs the consumer's process",
        "",
        "| | Broker | µs of processor a reading | memory, peak [MB] |",
    ]
    lines.append("|---|---|---:|---:|")
    for shape in SHAPES.values():
        for contestant in (BARE, OURS, NODE_RED, NODE_RED_BY_ROW, MQ_BRIDGE):
            for name in _brokers(results):
                runs = of(results, contestant, name, shape)
                if runs:
                    cost = median(run.cpu_s / run.stored * 1e6 for run in runs)
                    peak = max(run.peak_mb for run in runs)
                    lines.append(f"| ({shape.key}) {contestant} | {name} | {cost:,.2f} | {peak:,.0f} |")
    return lines


def _sustained(runs: Sequence[Sustained]) -> list[str]:
    """The long run with the publisher beside it."""
    lines = ["## Publisher and gateway at the same time; memory", ""]
    lines += [
        "The publisher sends (a) without a pause on the same processors; its messages are encoded beforehand.",
        "",
    ]
    lines.append("| Broker | readings | stored | readings/s | published/s | memory by quarters of the run [MB] |")
    lines.append("|---|---:|---:|---:|---:|---|")
    for run in runs:
        quarters = " · ".join(f"{mb:.0f}" for mb in run.quarters_mb())
        rates = f"{run.stored / run.took_s:,.0f} | {run.readings / max(run.published_s, 1e-3):,.0f}"
        lines.append(f"| {run.broker} | {run.readings:,} | {run.stored:,} | {rates} | {quarters} |")
    return lines
