"""A zone of the benchmark as files, for `meterproof assess`: make_zone.py "homes 50, changes" 7 FOLDER.

Needs .venv-benchmarks (make test-benchmarks makes it) for grids and water; homes and gas do without.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from zones.classes import CLASSES
from zones.files import write_case


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zone_class", choices=sorted(CLASSES), metavar="CLASS", help="; ".join(CLASSES))
    parser.add_argument("seed", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    case = CLASSES[given.zone_class](given.seed)
    write_case(case, given.folder)
    print(f"{given.folder}: {len(case.meters)} meters, {case.days} days, made of {case.made_of}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
