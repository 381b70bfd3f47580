"""The topics of the native contract: mp/v1/{utility}/{gateway}/readings."""

import re
from functools import lru_cache
from typing import NamedTuple

# A utility's code as the registry takes it (store/migrations/0001_registry.sql).
_NATIVE = re.compile(r"mp/v1/([A-Za-z0-9][A-Za-z0-9_.-]{0,62})/([^/]+)/readings")


class NativeTopic(NamedTuple):
    """What a native topic names: the utility whose meters are meant, and the gateway or concentrator that sends."""

    utility: str
    gateway: str


@lru_cache(maxsize=65_536)
def parse_topic(topic: str) -> NativeTopic | None:
    """The parts of a native topic; None for any other."""
    match = _NATIVE.fullmatch(topic)
    return NativeTopic(match[1], match[2]) if match else None
