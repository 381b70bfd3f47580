"""Imports into the registry: meters with their places, zones, reference standards.

Each takes all rows of a file or none; call within a transaction and roll back on any error.
"""

from store.import_summary import ImportSummary
from store.meter_import import import_meters
from store.standard_import import import_standards
from store.zone_import import import_zones

__all__ = ["ImportSummary", "import_meters", "import_standards", "import_zones"]
