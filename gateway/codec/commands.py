"""What a codec wants to be published: some dialects are answered, such as Sparkplug's edge nodes."""

from typing import NamedTuple, Protocol, runtime_checkable


class Command(NamedTuple):
    """A message for a device or its gateway."""

    topic: str
    payload: bytes
    qos: int = 0  # of NCMD messages (Sparkplug 3.0.0, chapter 6)


@runtime_checkable
class Commanding(Protocol):
    """A codec that has commands to publish."""

    def take_commands(self) -> list[Command]:
        """What is to be published since the last call; it may be lost without harm, and is asked for again."""
        ...
