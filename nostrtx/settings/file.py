# -*- test-case-name: tests.settings.test_file -*-
"""
The settings file: TOML in, a tree of frozen values out, every fault in plain words.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import attrs

from nostrtx.settings.checks import shown
from nostrtx.settings.secrets import revealed
from nostrtx.settings.tree import Settings


class ConfigError(Exception):
    """The settings cannot be used; the text says which, and why."""


_TABLES: Final[dict[str, Any]] = {
    field.name: field.type for field in attrs.fields(attrs.resolve_types(Settings))
}

_FORMS: Final[dict[Any, str]] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    int | None: "an integer",
    bool | None: "true or false",
    tuple[str, ...]: "an array of strings",
    tuple[int, ...]: "an array of integers",
    tuple[int | str, ...]: "an array of integers and strings",
    str | tuple[str, ...]: "a string or an array of strings",
    dict[str, str]: "a table of strings",
    dict[str, Any]: "a table",
}

#: What an array of each form may hold.
_MEMBERS: Final[dict[Any, tuple[type, ...]]] = {
    tuple[str, ...]: (str,),
    tuple[int, ...]: (int,),
    tuple[int | str, ...]: (int, str),
    str | tuple[str, ...]: (str,),
}

#: Settings of two forms, and the one that is no array.
_OPTIONAL: Final[dict[Any, type]] = {
    int | None: int,
    bool | None: bool,
    str | tuple[str, ...]: str,
}

_LARGEST: Final = 2**63


def _typed(form: Any, value: object) -> object:
    """The value of one setting, if it has the form that the setting asks for."""
    if form is float and type(value) in (int, float):
        # Neither NaN nor infinity is within.
        if -_LARGEST < value < _LARGEST:  # type: ignore[operator]
            return float(value)  # type: ignore[arg-type]
    elif type(value) is list and form in _MEMBERS:
        if all(type(member) in _MEMBERS[form] for member in value):
            return tuple(value)
    elif type(value) is dict and form == dict[str, str]:
        if all(type(member) is str for member in value.values()):
            return value
    elif type(value) is dict and form == dict[str, Any]:
        return value
    elif type(value) is _OPTIONAL.get(form, form):
        return value
    raise ValueError(f"must be {_FORMS[form]}, not {shown(value)}")


def _perhaps(name: str, names: Iterable[str]) -> str:
    """The end of a sentence that tells what was meant, where that can be guessed."""
    meant = get_close_matches(name, names, 1, 0.8) or [
        f"{table}.{name}"
        for table, form in _TABLES.items()
        if attrs.has(form) and name in attrs.fields_dict(form)
    ]
    return f"; perhaps {meant[0]}" if len(meant) == 1 else ""


def _checked(
    table: Any, name: str, value: object, environment: Mapping[str, str]
) -> object:
    """The value of the setting ``name`` in a table, if it is one and allowed."""
    fields = attrs.fields_dict(attrs.resolve_types(table))
    field = fields.get(name)
    if field is None:
        raise ValueError(f"there is no such setting{_perhaps(name, fields)}")
    if not field.repr:
        value = revealed(value, environment)
    try:
        value = _typed(field.type, value)
    except ValueError:
        if field.repr:
            raise
        # What is not for every eye is not for the log either.
        raise ValueError(f"must be {_FORMS[field.type]}") from None
    if field.validator is not None:
        field.validator(None, field, value)
    return value


def parse_settings(text: str, environment: Mapping[str, str] = os.environ) -> Settings:
    """
    The settings that a TOML text states; defaults for the rest.

    Args:
        text: The file.
        environment: Variables of the process, which may hold secrets.

    Raises:
        ConfigError: Not TOML, an unknown name, or a value out of range; all faults
            are listed, one a line.
    """
    settings, faults = _parsed(text, environment)
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def _parsed(text: str, environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """What is good of a text, and the faults."""
    try:
        stated = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from None
    tables: dict[str, Any] = {}
    faults: list[str] = []
    for name, members in stated.items():
        if name not in _TABLES:
            perhaps = _perhaps(name, _TABLES)
            faults.append(f"{name}: there is no such table{perhaps}")
        else:
            tables[name] = _content(_TABLES[name], name, members, faults, environment)
    return Settings(**tables), faults


def _content(
    form: Any,
    name: str,
    members: object,
    faults: list[str],
    environment: Mapping[str, str],
) -> object:
    """
    What stands in the file under ``name``: a table, or tables by name or number.

    Faults are added to ``faults``; what has one counts as not stated.
    """
    of_each = get_args(form)
    if get_origin(form) is dict:
        if type(members) is not dict:
            faults.append(f"{name}: must hold tables, each with a name")
            return {}
        return {
            key: _table(of_each[1], f"{name}.{key}", value, faults, environment)
            for key, value in members.items()
        }
    if get_origin(form) is tuple:
        if type(members) is not list:
            faults.append(f"{name}: must be an array of tables, as [[{name}]]")
            return ()
        return tuple(
            [
                _table(of_each[0], f"{name}[{at}]", value, faults, environment)
                for at, value in enumerate(members)
            ]
        )
    return _table(form, name, members, faults, environment)


def _table(
    table: Any,
    path: str,
    members: object,
    faults: list[str],
    environment: Mapping[str, str],
) -> Any:
    """One table as a value; what has a fault, added to ``faults``, has its default."""
    if type(members) is not dict:
        # What is meant for one of its settings may not be for the log.
        faults.append(f"{path}: must be a table")
        return table()
    values = {}
    for name, value in members.items():
        try:
            values[name] = _checked(table, name, value, environment)
        except ValueError as error:
            faults.append(f"{path}.{name}: {error}")
    return table(**values)


def load_settings(path: str | None) -> Settings:
    """
    The settings in the file at ``path``; the defaults if there is none to read.

    Raises:
        ConfigError: The file cannot be read or used; each line names it.
    """
    settings, faults = read_settings(path)
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def read_settings(path: str | None) -> tuple[Settings, list[str]]:
    """
    What is good of the settings in a file, for who looks for more faults.

    Returns:
        The settings, with the defaults of those that have faults; and the faults,
        each in a line that names the file.

    Raises:
        ConfigError: The file cannot be read, or is not TOML.
    """
    if not path:
        return Settings(), []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        settings, faults = _parsed(text, os.environ)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return settings, [f"{path}: {fault}" for fault in faults]
