"""Checks: each declared once, run by one runner, reported as plain data. A check looks; it changes nothing."""
