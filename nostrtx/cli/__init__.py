"""The ``nostrtx`` command."""
