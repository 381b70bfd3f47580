"""Errors that end the gateway."""

from metrology.errors import MeterproofError


class GatewayError(MeterproofError):
    """A fault that waiting won't heal: a setting, a refused log-in, a broken schema."""

    status = 500
    title = "Gateway error"


class SourceError(GatewayError):
    """A source of the settings that can't be used."""

    status = 422
    title = "Wrong source"
