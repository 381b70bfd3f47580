"""The base of every error that a user of Meterproof may see.

An error names the place (file and line, topic, setting), the value that was found, and the remedy.
"""


class MeterproofError(Exception):
    """Base of all expected errors. `status` is the HTTP status that the API answers with."""

    status = 400
    title = "Bad request"


class InvalidInputError(MeterproofError):
    """A value from outside (file, message, setting, argument) that can't be used."""

    status = 422
    title = "Invalid input"


class NotFoundError(MeterproofError):
    """A thing was asked for by a name that doesn't exist."""

    status = 404
    title = "Not found"


class StateConflictError(MeterproofError):
    """The thing exists but is not in a state that allows what was asked."""

    status = 409
    title = "State conflict"
