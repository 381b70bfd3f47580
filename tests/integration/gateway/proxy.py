"""A TCP proxy that can fail as networks do: cut connections, refuse new ones, swallow what a client sends."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """Forwards 127.0.0.1:port to `target`: a (host, port), or the path of a Unix socket."""

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._refusing = False
        self.swallow_upstream = False
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections and refuse new ones until `restore`."""
        self._refusing = True
        self._close_pairs()

    def restore(self) -> None:
        """Let connections through again."""
        self.swallow_upstream = False
        self._refusing = False

    def close(self) -> None:
        """End for good."""
        self._refusing = True
        self._listener.close()
        self._close_pairs()

    def _close_pairs(self) -> None:
        for pair in self._pairs:
            for sock in pair:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        self._pairs = []

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            return server
        return socket.create_connection(self._target, timeout=5)

    def _pump(self, source: socket.socket, sink: socket.socket, upstream: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not (upstream and self.swallow_upstream):
                    sink.sendall(data)
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
