"""`python -m meterproof.embedded`: forget the data of the embedded servers in this folder, for `make clean`."""

import sys

from meterproof.embedded.runtime import remove_data
from meterproof.settings import load_settings
from metrology.errors import MeterproofError

try:
    remove_data(load_settings(None).embedded)
except MeterproofError as error:
    sys.exit(f"meterproof: {error}")
