"""Tests of nostrtx.cli."""
