# -*- test-case-name: tests.takeover.test_offer -*-
"""
What a relay that runs offers to one that starts: its open ports, as one message.

The message is a line of JSON. The descriptors of the sockets come along with its first
bytes, in the order in which the line names them. The other side answers with the line
``serving`` once it serves clients, and hears ``yours`` when all is its own.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

#: Of all this; what has another number is not understood.
VERSION: Final = 1

#: The new process says that it serves clients.
SERVING: Final = b"serving\n"

#: The old process says that it serves nobody any more who connects.
YOURS: Final = b"yours\n"

#: Descriptors in one piece; the system allows 253.
_DESCRIPTORS: Final = 200

_READ: Final = 65536

#: Names a port: its kind, and what was asked for.
Key = tuple[str, ...]


class OfferError(Exception):
    """There is no offer to be had; the text goes on after "the relay that runs"."""


@attrs.frozen
class Offer:
    """
    What there is to be taken over.

    Attributes:
        pid: The process that offers.
        ports: Descriptors by port.
    """

    pid: int
    ports: Mapping[Key, Sequence[int]]


def tcp_key(interface: str, port: int) -> Key:
    """Names a TCP port as it was asked for; 0 is one that the system chooses."""
    return "tcp", interface, str(port)


def unix_key(path: str) -> Key:
    """Names a UNIX socket."""
    return "unix", path


def distinct(key: Key, known: Container[Key]) -> Key:
    """The key, or another one if a port of the same name is known already."""
    while key in known:
        key = (*key, "again")
    return key


def send_offer(connection: socket.socket, offer: Offer) -> None:
    """
    Send an offer.

    Raises:
        OSError: It cannot be sent.
    """
    ports = [[key, len(descriptors)] for key, descriptors in offer.ports.items()]
    line = json.dumps([VERSION, offer.pid, ports]).encode() + b"\n"
    descriptors = [each for port in offer.ports.values() for each in port]
    pieces = [
        descriptors[at : at + _DESCRIPTORS]
        for at in range(0, len(descriptors), _DESCRIPTORS)
    ]
    for at, piece in enumerate(pieces):
        socket.send_fds(connection, [line[at : at + 1]], piece)
    connection.sendall(line[len(pieces) :])


def send_refusal(connection: socket.socket, why: str) -> None:
    """
    Say that there is no offer; ``why`` goes on after "the relay that runs".

    Raises:
        OSError: It cannot be sent.
    """
    connection.sendall(json.dumps([VERSION, why]).encode() + b"\n")


def receive_offer(connection: socket.socket) -> Offer:
    """
    Wait for an offer; the reactor need not run.

    Args:
        connection: Says by its timeout how long to wait.

    Raises:
        OfferError: None came, or none that is understood.
        OSError: The connection is broken, or silent for too long.
    """
    line = b""
    descriptors: list[int] = []
    try:
        while not line.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(connection, _READ, _DESCRIPTORS)
            descriptors += more
            for each in more:
                os.set_inheritable(each, False)
            if not data:
                raise OfferError("has ended the connection")
            line += data
        return _parse(line, descriptors)
    except BaseException:
        for each in descriptors:
            socket.close(each)
        raise


def _parse(line: bytes, descriptors: Iterable[int]) -> Offer:
    try:
        said: Any = json.loads(line)
        version, *rest = said
        if version != VERSION:
            raise OfferError("is of another version, and hands over in another way")
        if len(rest) == 1:
            raise OfferError(str(rest[0]))
        pid, ports = rest
        numbers = iter(descriptors)
        found = {
            tuple(map(str, key)): [next(numbers) for _ in range(count)]
            for key, count in ports
        }
    except (ValueError, TypeError, StopIteration) as error:
        raise OfferError("says what is not understood") from error
    return Offer(pid, found)
