# -*- test-case-name: tests.settings.test_secrets -*-
"""
Settings that are not for every eye, kept outside the settings file.

In place of such a setting's text may stand where it is: ``{ file = "/run/secrets/x" }``
or ``{ env = "NAME" }``. What is wrong with it is told without what is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Any, Final

#: Longest secret that is read, in bytes.
_MAX_BYTES: Final = 65_536

#: What may stand in place of a secret's text.
FORMS: Final = '{ file = "PATH" } or { env = "NAME" }'


def revealed(value: object, environment: Mapping[str, str]) -> object:
    """
    A secret's value, from where the settings file says that it is.

    Args:
        value: As in the settings file; what is no table is returned as it is, but for
            the members of an array.
        environment: Variables of the process.

    Raises:
        ValueError: It cannot be had; the text goes on after the setting's name.
    """
    if type(value) is list:
        return [revealed(member, environment) for member in value]
    if type(value) is not dict:
        return value
    where: dict[str, Any] = value
    if len(where) != 1 or type(next(iter(where.values()))) is not str:
        raise ValueError(f"must be a string, {FORMS}")
    ((kind, name),) = where.items()
    if kind == "file":
        return _in_file(name, environment)
    if kind == "env":
        return _in_environment(name, environment)
    raise ValueError(f"must be a string, {FORMS}")


def _in_environment(name: str, environment: Mapping[str, str]) -> str:
    secret = environment.get(name)
    if secret is None:
        raise ValueError(f"there is no {name} in the environment")
    if not secret:
        raise ValueError(f"{name} in the environment is empty")
    return secret


def _in_file(path: str, environment: Mapping[str, str]) -> str:
    try:
        path = Template(path).substitute(environment)
    except KeyError as error:
        raise ValueError(f"there is no {error.args[0]} in the environment") from None
    except ValueError:
        raise ValueError(f"{path}: a $ in a path is written $$") from None
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path}: longer than {_MAX_BYTES} bytes")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8") from None
    if not secret:
        raise ValueError(f"{path}: empty")
    return secret
