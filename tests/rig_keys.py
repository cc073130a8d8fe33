"""Reads a throw-away key file's text as a client would be given it."""

import json


def key_of(file_text: str) -> tuple[str, str]:
    """Name and secret."""
    told = json.loads(file_text)
    return told["name"], told["privateKey"]
