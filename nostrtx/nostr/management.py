# -*- test-case-name: tests.nostr.test_management -*-
"""
Calls to manage a relay, and answers to them (NIP-86).

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

from nostrtx.nostr.json import NotJSONError, dumps, loads

#: The ``Content-Type`` of calls and answers.
MEDIA_TYPE: Final = "application/nostr+json+rpc"

#: The largest number that anybody could mean.
_MOST: Final = 2**31 - 1

_HEX: Final = re.compile(r"[0-9a-f]{64}")

#: What has no place in any text; line breaks and tabs may be in some.
_NOT_TEXT: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class CallError(ValueError):
    """A call cannot be answered; the text says why, in words for the caller."""


class NotACallError(CallError):
    """What was sent is no call at all."""


@attrs.frozen
class Call:
    """
    A call.

    Attributes:
        method: What is to be done.
        params: With what; those that the method does not know are of no account.
    """

    method: str
    params: Sequence[object] = ()

    def param(self, at: int) -> object:
        """The parameter at a place; None if there is none."""
        return self.params[at] if at < len(self.params) else None

    def hex_param(self, at: int, what: str) -> str:
        """
        A key or an id.

        Raises:
            CallError: It is not 64 lower-case hexadecimal digits.
        """
        value = self.param(at)
        if not isinstance(value, str) or _HEX.fullmatch(value) is None:
            raise CallError(f"{what} must be 64 lower-case hexadecimal digits")
        return value

    def pubkey_param(self, at: int) -> str:
        """
        A public key.

        Raises:
            CallError: It is not 64 lower-case hexadecimal digits.
        """
        return self.hex_param(at, "the public key")

    def number_param(self, at: int, what: str) -> int | None:
        """
        A number, which need not be given.

        Raises:
            CallError: It is no whole number, or out of all proportion.
        """
        value = self.param(at)
        if value is not None and (type(value) is not int or abs(value) > _MOST):
            raise CallError(f"{what} must be a whole number")
        return value

    def text_param(
        self, at: int, what: str, most: int, *, has_lines: bool = False
    ) -> str:
        """
        A text without blanks around it.

        Raises:
            CallError: It is no text, too long, or holds control characters.
        """
        value = self.param(at)
        if not isinstance(value, str):
            raise CallError(f"{what} must be a text")
        text = value.replace("\r\n", "\n").strip()
        if len(text) > most:
            raise CallError(f"{what} must have at most {most} characters")
        if _NOT_TEXT.search(text) or (not has_lines and re.search(r"[\t\n]", text)):
            raise CallError(f"{what} must not hold control characters")
        return text

    def reason_param(self, at: int) -> str:
        """
        A reason, which need not be given.

        Raises:
            CallError: It is no text.
        """
        value = self.param(at)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise CallError("the reason must be a text")
        return value


def parse_call(body: bytes) -> Call:
    """
    The call that a request's body spells.

    Raises:
        NotACallError: It spells none.
    """
    try:
        members = loads(body)
    except NotJSONError:
        raise NotACallError("the body is not JSON") from None
    if not isinstance(members, dict):
        raise NotACallError("the body must be an object with method and params")
    method, params = members.get("method"), members.get("params", [])
    if not isinstance(method, str):
        raise NotACallError("the method must be a text")
    if not isinstance(params, list):
        raise NotACallError("params must be an array")
    return Call(method, tuple(params))


def result_of_call(result: object) -> bytes:
    """The answer to a call that went well."""
    return dumps({"result": result})


def error_of_call(reason: str) -> bytes:
    """The answer to a call that did not, and why."""
    return dumps({"error": reason})
