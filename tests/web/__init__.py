"""Tests of nostrtx.web."""
