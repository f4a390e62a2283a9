"""A TCP proxy that cuts a connection at the worst moment."""

from __future__ import annotations

import socket
from threading import Event, Thread

_MOST = 1_000_000


class CuttingProxy:
    """
    Passes on what clients and a server say, until it is told to cut.

    Args:
        port: Of the server on the loopback interface.

    Attributes:
        port: Where clients connect.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._requests_left: int | None = None
        self._passes_last = True
        self._ends: list[socket.socket] = []
        self.cut = Event()
        Thread(target=self._accept, daemon=True).start()

    def cut_after(self, requests: int, passes_last: bool) -> None:
        """
        Cut the next connection on which so many requests were made.

        Args:
            requests: How many; what is sent in one go is one.
            passes_last: Whether the server still gets the last one, and only its
                answer is lost.
        """
        self.cut.clear()
        self._passes_last = passes_last
        self._requests_left = requests

    def close(self) -> None:
        """Cut all connections, and let in no more."""
        for end in (self._listening, *self._ends):
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._ends += (client, server)
            Thread(target=self._requests, args=(client, server), daemon=True).start()
            Thread(target=self._answers, args=(client, server), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(_MOST):
                if self._requests_left is not None:
                    self._requests_left -= 1
                    if not self._requests_left:
                        self._requests_left = None
                        # No answer passes from here on.
                        client.shutdown(socket.SHUT_RDWR)
                        if self._passes_last:
                            server.sendall(data)
                        else:
                            server.shutdown(socket.SHUT_RDWR)
                        self.cut.set()
                        return
                server.sendall(data)
        except OSError:
            pass
        finally:
            _close(client)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := server.recv(_MOST):
                client.sendall(data)
        except OSError:
            pass
        finally:
            _close(client)


def _close(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
