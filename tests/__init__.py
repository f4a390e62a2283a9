"""Tests of nostrtx."""
