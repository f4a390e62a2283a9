# -*- test-case-name: tests.broadcast.test_envelope -*-
"""
What one node sends to another, sealed under the secret that they share.

Whoever can write to the place where news travels can neither read it nor add to it,
and what is recorded there and sent again is refused. Pure: time and randomness are
passed in.

Sealed, all numbers big-endian:

- 1 byte: the version of this format,
- 4 bytes: which key,
- 16 bytes, the instance: what tells this start of the sender from all others,
- 8 bytes, the counter: grows with each message of the instance,
- the rest: a box of XSalsa20 and Poly1305, whose nonce is instance and counter.

In the box of a message: when it was sent (8 bytes, milliseconds since 1970), the
sender's name and the topic (one byte of length before each), and the payload.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from collections.abc import Sequence
from enum import Enum
from hashlib import blake2b
from typing import Final

import attrs
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

#: The version of this format; a sender of another one is foreign.
VERSION: Final = 1

INSTANCE_BYTES: Final = 16

#: How far off the clock of a sender of whom nothing was heard before may be.
WINDOW_SECONDS: Final = 60.0

#: How many senders are remembered: far more than there are, for they come and go.
MOST_INSTANCES: Final = 1024

_HEAD: Final = struct.Struct(">B4s16sQ")
_NONCE_AT: Final = 5
_SENT: Final = struct.Struct(">QB")


class Refusal(Enum):
    """
    Why something sealed is not let in.

    Attributes:
        FOREIGN: It is not of this format, of another version of it, or sealed with a
            key that is not ours.
        FORGED: It names a key of ours but was not sealed with it, or was changed.
        REPLAYED: It was heard before; or nothing was heard of its sender before, and
            it is not from now.
    """

    FOREIGN = "foreign"
    FORGED = "forged"
    REPLAYED = "replayed"


class Refused(Exception):
    """
    Something sealed is not let in.

    Attributes:
        refusal: Why.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


@attrs.frozen(slots=True)
class Opened:
    """
    What was sealed.

    Attributes:
        instance: Which start of which process sealed it.
        counter: How many things it had sealed by then.
        content: What it sealed.
    """

    instance: bytes
    counter: int
    content: bytes


@attrs.frozen(slots=True)
class Message:
    """
    What one process tells the others.

    Attributes:
        sender: What the sender is called.
        topic: What it is about.
        payload: What it says.
    """

    sender: str
    topic: str
    payload: bytes


class Seal:
    """
    Seals and opens, for one purpose, with the secrets that nodes share.

    Args:
        secrets: 32 bytes each. The first one seals, all of them open.
        purpose: What is sealed for one purpose cannot be opened for another.
        instance: What tells this start of this process from all others: 16 random
            bytes. No two seals with one secret and one purpose may have the same.
    """

    def __init__(self, secrets: Sequence[bytes], purpose: str, instance: bytes) -> None:
        if len(instance) != INSTANCE_BYTES:
            raise ValueError(f"an instance has {INSTANCE_BYTES} bytes")
        if not secrets:
            raise ValueError("there must be a secret")
        self.instance = instance
        self._counter = 0
        self._boxes: dict[bytes, SecretBox] = {}
        for secret in secrets:
            derived = blake2b(purpose.encode(), key=secret, digest_size=36).digest()
            self._boxes.setdefault(derived[:4], SecretBox(derived[4:]))
        self._key_id, self._box = next(iter(self._boxes.items()))

    def seal(self, content: bytes) -> bytes:
        """``content`` sealed, by this instance and with the next counter."""
        self._counter += 1
        head = _HEAD.pack(VERSION, self._key_id, self.instance, self._counter)
        return head + self._box.encrypt(content, head[_NONCE_AT:]).ciphertext

    def is_own(self, sealed: bytes) -> bool:
        """Whether ``sealed`` says that this very seal made it."""
        return sealed[_NONCE_AT : _NONCE_AT + INSTANCE_BYTES] == self.instance

    def open(self, sealed: bytes) -> Opened:
        """
        What is in ``sealed``.

        Raises:
            Refused: It is foreign or forged.
        """
        if len(sealed) < _HEAD.size + SecretBox.MACBYTES or sealed[0] != VERSION:
            raise Refused(Refusal.FOREIGN)
        _, key_id, instance, counter = _HEAD.unpack_from(sealed)
        box = self._boxes.get(key_id)
        if box is None:
            raise Refused(Refusal.FOREIGN)
        nonce = sealed[_NONCE_AT : _HEAD.size]
        try:
            content = box.decrypt(sealed[_HEAD.size :], nonce)
        except CryptoError:
            raise Refused(Refusal.FORGED) from None
        return Opened(instance, counter, content)


class Envelopes:
    """
    Messages to the others, and from them: each is let in once.

    Args:
        seal: Ours, for this purpose.
        name: What this process is called; at most 255 bytes of UTF-8.
        window_seconds: How far off the time of a sender may be of whom nothing was
            heard before.
        most_instances: How many senders are remembered. One that was forgotten
            counts as one of whom nothing was heard.

    Attributes:
        refused: How often something was refused, and why.
    """

    def __init__(
        self,
        seal: Seal,
        name: str,
        window_seconds: float = WINDOW_SECONDS,
        most_instances: int = MOST_INSTANCES,
    ) -> None:
        self.refused: Counter[Refusal] = Counter()
        self._seal = seal
        self._name = _short(name)
        self._window_seconds = window_seconds
        self._most_instances = most_instances
        self._heard: OrderedDict[bytes, int] = OrderedDict()

    def write(self, topic: str, payload: bytes, now: float) -> bytes:
        """
        A message to the others, sealed.

        Args:
            topic: At most 255 bytes of UTF-8.
            payload: Any bytes.
            now: Seconds since 1970.
        """
        return self._seal.seal(
            b"".join(
                (
                    _SENT.pack(max(0, int(now * 1000)), len(self._name)),
                    self._name,
                    bytes((len(topic_bytes := _short(topic)),)),
                    topic_bytes,
                    payload,
                )
            )
        )

    def read(self, sealed: bytes, now: float) -> Message | None:
        """
        A message from another one; None if it is one of ours, come back.

        Args:
            sealed: What came.
            now: Seconds since 1970.

        Raises:
            Refused: It is not let in; that is counted here.
        """
        if self._seal.is_own(sealed):
            return None
        try:
            opened = self._seal.open(sealed)
            sent_at, message = _message_of(opened.content)
            self._let_in(opened, sent_at, now)
        except Refused as refused:
            self.refused[refused.refusal] += 1
            raise
        return message

    def _let_in(self, opened: Opened, sent_at: float, now: float) -> None:
        """Refuse what was heard before, and what may have been; remember the rest."""
        last = self._heard.get(opened.instance)
        if last is None:
            if abs(now - sent_at) > self._window_seconds:
                raise Refused(Refusal.REPLAYED)
        elif opened.counter <= last:
            raise Refused(Refusal.REPLAYED)
        self._heard[opened.instance] = opened.counter
        self._heard.move_to_end(opened.instance)
        if len(self._heard) > self._most_instances:
            self._heard.popitem(last=False)


def _short(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > 255:
        raise ValueError("must not be longer than 255 bytes")
    return encoded


def _message_of(content: bytes) -> tuple[float, Message]:
    """When it was sent, in seconds since 1970, and the message."""
    try:
        milliseconds, length = _SENT.unpack_from(content)
        topic_at = _SENT.size + length + 1
        payload_at = topic_at + content[topic_at - 1]
        if payload_at > len(content):
            raise Refused(Refusal.FOREIGN)
        sender = content[_SENT.size : topic_at - 1].decode()
        topic = content[topic_at:payload_at].decode()
    except (struct.error, IndexError, UnicodeDecodeError):
        # Sealed with our key, so it is somebody else's format.
        raise Refused(Refusal.FOREIGN) from None
    return milliseconds / 1000, Message(sender, topic, content[payload_at:])
