"""One laboratory for the stories of a file: its exchange runs while they do, each on an account of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.lab import Lab, laboratory
from tests.crash.run import MEMORY


@pytest.fixture(scope="module")
def one_lab() -> Iterator[Lab]:
    """The laboratory of this file."""
    folder = Path(tempfile.mkdtemp(prefix="perpsctl-crash-", dir=MEMORY if os.path.isdir(MEMORY) else None))
    try:
        with laboratory(folder, threads=True) as lab:
            yield lab
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def lab(one_lab: Lab) -> Lab:
    """The laboratory with no fault armed and no account used yet."""
    one_lab.fresh("us")
    one_lab.fresh("global")
    return one_lab
