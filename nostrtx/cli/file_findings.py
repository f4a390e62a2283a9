# -*- test-case-name: tests.cli.test_file_findings -*-
"""Whether files can be read, written, made and run, without doing so."""

from __future__ import annotations

import os
from shutil import which

#: Longest path of a UNIX socket, in bytes.
MAX_SOCKET_PATH = 107

_FIRST_LINE = 256


def not_writable(path: str) -> str:
    """Why a file or directory that exists cannot be written; empty if it can."""
    needed = os.R_OK | os.W_OK
    if os.path.isdir(path):
        needed |= os.X_OK
    if os.access(path, needed):
        return ""
    return f"{path} cannot be written by whoever runs this"


def not_to_be_made(path: str, with_parents: bool = False) -> str:
    """
    Why a file or directory that does not exist cannot be made; empty if it can.

    Args:
        path: Where it is to be.
        with_parents: Whether directories on the way are made as well.
    """
    parent = os.path.dirname(path) or "."
    while with_parents and not os.path.lexists(parent):
        parent = os.path.dirname(parent) or "."
    if not os.path.exists(parent):
        return f"{path} cannot be made: there is no directory {parent}"
    if not os.path.isdir(parent):
        return f"{path} cannot be made: {parent} is no directory"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"{path} cannot be made: {not_writable(parent)}"
    return ""


def no_socket(path: str) -> str:
    """Why there cannot be a UNIX socket at a path; empty if there can."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        return (
            f"{path} is longer than {MAX_SOCKET_PATH} bytes, as sockets' paths may be"
        )
    # One from before is replaced, and so is a link to it.
    return not_to_be_made(path)


def not_to_be_run(program: str) -> str:
    """Why a program cannot be run; empty if it can."""
    found = which(program)
    if found is not None:
        return _no_interpreter(found)
    if os.path.isdir(program):
        return f"{program} is a directory"
    if os.path.exists(program) and os.path.dirname(program):
        return f"{program} may not be executed by whoever runs this (chmod +x)"
    if os.path.dirname(program):
        return f"there is no {program}"
    return f"there is no {program} in the directories of PATH"


def _no_interpreter(script: str) -> str:
    """Why a script cannot be run; empty if it can, or is none."""
    try:
        with open(script, "rb") as file:
            line = file.readline(_FIRST_LINE)
    except OSError:
        return ""
    if not line.startswith(b"#!"):
        return ""
    if line.endswith(b"\r\n"):
        return f"{script}: its first line ends with CR LF, and must end with LF"
    interpreter, *others = [*os.fsdecode(line[2:]).split(), ""]
    if which(interpreter) is None:
        return f"{script}: it is for {interpreter or 'nothing'}, which is not there"
    if os.path.basename(interpreter) == "env":
        named = [word for word in others if word and not word.startswith("-")]
        if named and "=" not in named[0] and which(named[0]) is None:
            return f"{script}: it is for {named[0]}, which is not there"
    return ""
