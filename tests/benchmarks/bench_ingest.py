"""Messages in a broker to rows in PostgreSQL: the gateway beside COPY, a bare subscriber, Node-RED and mq-bridge.

    make bench-ingest [ARGS=--quick]

Writes docs/benchmarks/ingest.md unless --quick. The other systems are installed into .cache/peers once; one that can't
be installed is left out with the reason.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ingest.campaign import FULL, QUICK, available_peers, brokers_here, run_all, run_sustained
from ingest.page import page
from ingest.servers import database, mosquitto_program

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks" / "ingest.md"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of few messages; the page is only printed")
    parser.add_argument("--minutes", type=float, default=8.0, help="no comparison is begun after this time")
    parser.add_argument("--sustained", type=int, default=0, metavar="MESSAGES", help="messages of 500 in the long run")
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    started, load_before = time.monotonic(), os.getloadavg()[0]
    peers, missing = available_peers()
    notes = [f"{name}: {reason}" for name, reason in missing.items()]
    brokers = brokers_here(mosquitto_program() is not None)
    if len(brokers) == 1:
        notes.append("mosquitto: it is not installed (scripts/mosquitto)")
    for note in notes:
        print(f"left out: {note}", flush=True)
    with database() as made:
        results, faults = run_all(made, plan, brokers, peers, started + arguments.minutes * 60)
        messages = arguments.sustained or plan.sustained_messages
        sustained = [run_sustained(made, name, messages) for name in brokers]
        text = page(results, sustained, plan, made.settings(), [*notes, *faults], load_before)
    print(text)
    if not arguments.quick:
        arguments.out.write_text(text, encoding="utf-8")
        print(f"wrote {arguments.out}; it took {time.monotonic() - started:.0f} s")
    # Speed is reported, not judged; a reading lost or changed by our own gateway is a fault.
    ours_right = all(result.values_right for result in results if result.contestant == "meterproof")
    return 0 if ours_right and all(run.stored == run.readings for run in sustained) else 1


if __name__ == "__main__":
    sys.exit(main())
