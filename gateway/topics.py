"""The topics of the native contract; docs/asyncapi.json describes them with their payloads."""

import re
from functools import lru_cache
from typing import NamedTuple

# A utility's code as the registry takes it (store/migrations/0001_registry.sql).
_NATIVE = re.compile(r"mp/v1/([A-Za-z0-9][A-Za-z0-9_.-]{0,62})/([^/]+)/readings")


# No utility's code begins with `_`: nobody who may write below a utility can write here.
STATUS_TOPIC = "mp/v1/_gateway/{client_id}/status"


class NativeTopic(NamedTuple):
    """What a native topic names: the utility whose meters are meant, and the gateway or concentrator that sends."""

    utility: str
    gateway: str


@lru_cache(maxsize=65_536)
def parse_topic(topic: str) -> NativeTopic | None:
    """The parts of a native topic; None for any other."""
    match = _NATIVE.fullmatch(topic)
    return NativeTopic(match[1], match[2]) if match else None


def rejected_topic(topic: str) -> str | None:
    """Where the sender of a native topic hears of what was rejected; None for the topics of other dialects.

    It is no topic of readings itself, so that telling can't go round in circles, whatever the gateway subscribes to.
    """
    native = parse_topic(topic)
    return f"mp/v1/{native.utility}/{native.gateway}/rejected" if native else None
