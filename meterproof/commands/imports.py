"""`meterproof import`: meters, zones and reference standards from CSV or Parquet, all or nothing."""

from pathlib import Path
from typing import Annotated

import typer

from meterproof.console import out, print_json
from meterproof.embedded.runtime import find_servers
