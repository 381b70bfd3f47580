"""Checks that need the optional packages: `make test-benchmarks`, never `make test`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
