"""Virtual environments for software of others, each from a hash lock of its own; built once, kept by the lock's content.

A lock is made with `pip-compile --generate-hashes --no-emit-index-url` from the one pinned package in its name; it names no
index. Nothing of it ever enters the project's own environment: the packages pin versions that exclude ours.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "conformance"
BUILT = "built"
INSTALL_WITHIN_S = 420
_UNREACHABLE = (
    "NewConnectionError",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Max retries exceeded",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
)


def python_of(lock_name: str) -> Path:
    """The interpreter of the environment of `lock_name`; skips where the package registry cannot be reached."""
    lock = HERE / lock_name
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / f"{lock.stem}-{key}"
    python = folder / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="ascii")
    with (CACHE / f"{lock.stem}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # test workers build it once between them
        if (folder / BUILT).exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True, timeout=120)
        installed = subprocess.run(
            [
                *(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
                *("--require-hashes", "--only-binary", ":all:", "--no-deps", "-r", str(lock)),
            ],
            capture_output=True,
            text=True,
            timeout=INSTALL_WITHIN_S,
            env=dict(os.environ),
            check=False,
        )
        if installed.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            if any(sign in installed.stderr for sign in _UNREACHABLE):
                pytest.skip(f"the package registry cannot be reached, so {lock.stem} cannot be installed")
            pytest.fail(f"{lock.stem} does not install:\n{installed.stderr[-2000:]}")
        (folder / BUILT).touch()
    return python


def run_story(python: Path, script: Path, environment: dict[str, str], *arguments: str) -> str:
    """What the script printed; fails with its last words where it did not end well."""
    ended = subprocess.run(
        [str(python), "-I", str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **environment},
        check=False,
    )
    if ended.returncode != 0:
        pytest.fail(f"{script.name} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    return ended.stdout
