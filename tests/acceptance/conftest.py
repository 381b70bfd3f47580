"""A started system for each acceptance test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_system import System


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A started system with an empty database."""
    running = System(tmp_path)
    running.start()
    yield running
    running.stop()
