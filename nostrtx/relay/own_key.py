# -*- test-case-name: tests.relay.test_own_key -*-
"""
The relay's own key, with which it signs what it says itself (NIP-11, ``self``).

It lies in a file that only the relay's user can read, and is made on the first
start. A relay without a file has another key every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from nostrtx.nostr.event_signing import SecretKey, SecretKeyError, parse_secret_key


class KeyUnusable(Exception):
    """The relay's key cannot be had; the text is one line that says what to do."""


class OwnKey:
    """
    The key of this relay, once :meth:`load` was called.

    Args:
        path: The file; None for a key that is forgotten on exit.
        random_bytes: Makes what nobody can guess.
    """

    _log = Logger()

    def __init__(self, path: str | None, random_bytes: Callable[[int], bytes]) -> None:
        self._path = path
        self._random_bytes = random_bytes
        self._key: SecretKey | None = None

    def load(self) -> None:
        """
        Read the key, or make one.

        Raises:
            KeyUnusable: The file cannot be read or written, or holds no key.
        """
        if self._path is None:
            self._key = self._new()
            return
        try:
            self._key = self._read(Path(self._path)) or self._make(Path(self._path))
        except OSError as error:
            raise KeyUnusable(
                f"the relay's key in {self._path!r}: {error.strerror}"
            ) from None
        except SecretKeyError as error:
            raise KeyUnusable(f"the relay's key in {self._path!r}: {error}") from None

    @property
    def is_loaded(self) -> bool:
        """Whether there is a key yet."""
        return self._key is not None

    @property
    def public(self) -> str:
        """The public key in hexadecimal; empty as long as there is none."""
        return "" if self._key is None else self._key.pubkey.hex()

    @property
    def secret(self) -> SecretKey:
        """The key; only after :meth:`load`."""
        assert self._key is not None, "the relay's key was not loaded"
        return self._key

    def _read(self, path: Path) -> SecretKey | None:
        """The key in the file; None if there is no file."""
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(1024)
        except FileNotFoundError:
            return None
        if mode & 0o077:
            self._log.warn("Others can read the relay's key in {path}.", path=str(path))
        return parse_secret_key(text.decode("ascii", "replace"))

    def _make(self, path: Path) -> SecretKey:
        """
        Write a new key, whole or not at all.

        If another process made one meanwhile, that is the key.
        """
        key_bytes = self._new_bytes()
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(f"{key_bytes.hex()}\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                made = self._read(path)
                assert made is not None
                return made
        finally:
            draft.unlink()
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._log.info("A key for the relay was made in {path}.", path=str(path))
        return SecretKey(key_bytes)

    def _new(self) -> SecretKey:
        return SecretKey(self._new_bytes())

    def _new_bytes(self) -> bytes:
        """32 bytes that are a key, as nearly all are."""
        for _ in range(10):
            drawn = self._random_bytes(32)
            try:
                SecretKey(drawn)
            except SecretKeyError:
                continue
            return drawn
        raise KeyUnusable("no key could be drawn: the randomness is none")
