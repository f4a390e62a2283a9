# -*- test-case-name: tests.relay.test_signature_checks -*-
"""
A process that checks signatures for a relay, over a SEQPACKET socket.

Run as ``python -m nostrtx.relay.signature_worker FD``. A message is a batch: 128
bytes per event (signature, id, pubkey). The answer to it has one byte per event:
1 if the signature is good. The process ends when the relay closes its side.
"""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from nostrtx.nostr.signing import verify

#: Bytes that one event takes in a batch.
RECORD_BYTES: Final = 128

#: Events in the largest batch.
MAX_BATCH: Final = 256


def check_batch(batch: bytes) -> bytes:
    """One byte per 128-byte record: whether its signature is good."""
    return bytes(
        [
            verify(batch[at : at + 64], batch[at + 64 : at + 96], batch[at + 96 : end])
            for at, end in zip(
                range(0, len(batch), RECORD_BYTES),
                range(RECORD_BYTES, len(batch) + 1, RECORD_BYTES),
                strict=True,
            )
        ]
    )


def serve(connection: socket.socket) -> None:
    """Answer batches until the other side closes, or is killed."""
    with suppress(ConnectionError):
        while batch := connection.recv(RECORD_BYTES * MAX_BATCH):
            connection.sendall(check_batch(batch))


def main() -> None:
    """Serve the inherited socket whose descriptor is the first argument."""
    # The relay decides when this ends; a ^C on the terminal reaches both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
