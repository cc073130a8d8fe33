"""What the disk proofs found in the product, each as a small test that stays."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perpsctl import places
from perpsctl.commands import killswitch
from perpsctl.latch import Latch, LatchState, engage_every


def test_J1_the_name_of_a_profile_folder_is_durable_before_anything_in_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A synced journal in a folder whose own name was never synced is gone after a power cut."""
    synced: list[int] = []
    real = os.fsync

    def fsync(held: int) -> None:
        synced.append(os.fstat(held).st_ino)
        real(held)

    monkeypatch.setattr(os, "fsync", fsync)
    folder = tmp_path / "state" / "sim"
    places.private_folder(folder)
    assert {folder.parent.stat().st_ino, tmp_path.stat().st_ino} <= set(synced)
    synced.clear()
    places.private_folder(folder)
    assert synced == [], "a folder that stands costs nothing"


def test_R2_engage_latches_the_profile_of_the_environment_although_it_never_ran(
    perpsctl_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERPSCTL_PROFILE", "sim-global")
    engage_every(reason="drill", by="test", at=datetime.now(UTC), besides=killswitch._besides())
    for profile in ("sim", "sim-global"):
        assert Latch.of(profile).state().state is LatchState.ENGAGED, profile


def test_R2_a_name_no_profile_can_have_does_not_keep_engage_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPSCTL_PROFILE", "../elsewhere")
    assert killswitch._besides() == ("sim",)
