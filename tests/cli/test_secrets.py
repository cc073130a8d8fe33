"""S1: a secret in a key file never appears in anything a command says, whatever happens to it."""

import base64
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from perpsctl.places import exchange_folder
from perpsctl.simulator import launcher
from tests.cli.conftest import Ask
from tests.cli.test_documents import command_paths

pytestmark = pytest.mark.slow

COMMANDS = (
    ("products", "list"), ("products", "book", "BTC-PERP"), ("order", "list", "--all"), ("order", "cancel-all"), ("positions", "list"),
    ("order", "preview", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000"),
    ("order", "place", "--product", "BTC-PERP", "--side", "buy", "--size", "0.01", "--price", "60000"), ("fills", "list"), ("pnl",),
    ("config", "show"), ("limits", "show"), ("journal", "info"), ("journal", "check"), ("killswitch", "status"), ("reconcile",),
    ("run", "--ticks", "1"), ("probe",), ("preflight",), ("sim", "status"), ("sim", "book"), ("order", "vanish"),
)  # fmt: skip


def canaries(secret: str) -> set[str]:
    """What must never be seen of a key: each line of its body, and its number in the usual spellings."""
    if "BEGIN" in secret:
        key = serialization.load_pem_private_key(secret.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        raw = key.private_numbers().private_value.to_bytes(32, "big")
    else:
        raw = base64.b64decode(secret)
    lines = {line for line in secret.replace("\\n", "\n").splitlines() if line and not line.startswith("-")}
    return lines | {raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")}


def a_pem() -> str:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()  # fmt: skip


def assert_silent(text: str, secrets: set[str]) -> None:
    for secret in secrets:
        assert secret not in text
        assert secret[:24] not in text
    assert "eyJ" not in text  # no token either


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_shows_the_key_or_a_token_with_a_key_the_venue_knows(
    exchange: Path, run: Ask, words: tuple[str, ...]
) -> None:
    found = launcher.status(exchange_folder())
    assert found is not None
    secrets = set()
    for file in found.key_files.values():
        secrets |= canaries(json.loads(Path(file).read_text(encoding="utf-8"))["privateKey"])
    slow = words[0] in {"run", "probe", "preflight"}
    for form in ("json",) if slow else ("table", "json"):
        said = run(*words, "--verbose", "--format", form)
        assert said.code in {0, 1, 2, 3, 4}
        assert_silent(said.out + said.err, secrets | {found.control_token})


@pytest.mark.parametrize("damage", ["none", "cut", "swapped", "not json", "wrong kind"])
def test_no_command_shows_a_key_that_is_refused_or_damaged(
    exchange: Path, run: Ask, tmp_path: Path, damage: str
) -> None:
    pem = a_pem()
    body = json.dumps({"name": "organizations/canary-org/apiKeys/canary-key", "privateKey": pem.replace("\n", "\\n")})
    written = {
        "none": body,
        "cut": json.dumps({"name": "x", "privateKey": pem[:-60]}),
        "swapped": json.dumps({"name": pem, "privateKey": "x"}),
        "not json": pem + "}",
        "wrong kind": json.dumps({"name": "x", "privateKey": [pem]}),
    }[damage]
    key = tmp_path / "key.json"
    key.write_text(written, encoding="utf-8")
    key.chmod(0o600)
    config = tmp_path / "perpsctl.toml"
    config.write_text(
        f"[profile.sim.keys]\ntrade = '{key}'\nmonitor = '{key}'\nanalytics = '{key}'\n", encoding="utf-8"
    )
    for words in (("order", "list"), ("pnl",), ("config", "show"), ("killswitch", "status")):
        said = run(*words, "--verbose", "--config", str(config))
        assert said.code in {0, 1, 7, 10, 11}
        assert_silent(said.out + said.err, canaries(pem))


def test_a_bug_shows_its_kind_and_place_and_nothing_of_its_text(
    home: Path, run: Ask, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S1: an exception's own text may hold anything."""
    from perpsctl import bootstrap

    def broken(*_: object, **__: object) -> object:
        raise RuntimeError("canary-secret-in-an-exception")

    monkeypatch.setattr(bootstrap, "Toolkit", broken)
    told = ask("order", "list", "--verbose")
    assert (told.code, told.error["code"]) == (70, "bug")
    assert "RuntimeError at test_secrets.py:" in told.error["message"]
    said = run("order", "list", "--verbose")
    assert (said.code, said.out) == (70, "")
    for text in (told.out, told.err, said.err):
        assert "canary" not in text


def test_a_bug_after_the_answer_leaves_one_document(exchange: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from perpsctl.bootstrap import Toolkit

    def broken(_: Toolkit) -> None:
        raise RuntimeError("canary")

    monkeypatch.setattr(Toolkit, "close", broken)
    said = ask("order", "list")
    assert said.code == 70
    assert said.data["orders"] == []
    assert "a bug in perpsctl: RuntimeError" in said.err
    assert "canary" not in said.err


def test_no_option_takes_a_secret(run: Ask) -> None:
    """S1: nothing of a key belongs in a shell's history."""
    for path in command_paths():
        options = set(re.findall(r"--[a-z-]+", run(*path.split(), "--help").out))
        assert "--profile" in options
        assert not {"--key", "--secret", "--token", "--password", "--pem", "--private-key"} & options
