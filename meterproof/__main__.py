"""`python -m meterproof`."""

from meterproof.cli import main

main()
