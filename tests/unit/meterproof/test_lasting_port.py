"""The port at which an embedded server is found again after its process was killed."""

import socket
from pathlib import Path

import pytest

from meterproof.embedded.process import lasting_port


def test_a_server_comes_back_where_it_was(tmp_path: Path) -> None:
    note = tmp_path / "port"
    port = lasting_port(note)
    assert lasting_port(note) == port
    # A connection that was open when the server ended leaves its port in TIME_WAIT, which is no hindrance.
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)):
        server.accept()[0].close()
    assert lasting_port(note) == port


def test_a_port_that_another_server_took_is_given_up_for_good(tmp_path: Path) -> None:
    note = tmp_path / "port"
    port = lasting_port(note)
    with socket.create_server(("127.0.0.1", port)):
        other = lasting_port(note)
    assert other != port
    assert lasting_port(note) == other


@pytest.mark.parametrize("kept", ["", "words", "0", "-1", "70000", "22 23", "９"])
def test_a_damaged_note_is_written_anew(kept: str, tmp_path: Path) -> None:
    note = tmp_path / "port"
    note.write_text(kept, encoding="utf-8")
    port = lasting_port(note)
    assert 15_000 <= port < 32_000
    assert note.read_text(encoding="ascii") == str(port)
