"""The version that every finding carries."""

from importlib.metadata import version


def software_version() -> str:
    """The installed distribution's version."""
    return version("meterproof")
