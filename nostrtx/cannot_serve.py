# -*- test-case-name: tests.test_service -*-
"""Ending at the start, with one line that says why."""

from __future__ import annotations


class CannotServe(SystemExit, Exception):
    """
    The relay cannot serve; the text is one line that says why.

    Python prints the line and exits with code 1. An ``Exception`` as well, for twistd
    tells only those to the process that waits until its daemon has started.
    """
