import base64
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from perpsctl.domain.errors import CredentialsError
from perpsctl.exchange.credentials import (
    Credentials,
    Secret,
    from_environment,
    from_key_file,
    from_key_text,
    from_pem_file,
    from_values,
)
from tests.unit.exchange.parts import KEY_NAME, ec_pem, ed_pem, told_by


def key_file(folder: Path, content: object, *, mode: int = 0o600) -> Path:
    path = folder / "key.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


@pytest.mark.parametrize("name_field", ["name", "id"])
def test_a_downloaded_key_file_is_read_with_newlines_as_escapes(tmp_path: Path, name_field: str) -> None:
    pem = ec_pem()
    path = key_file(tmp_path, {name_field: KEY_NAME, "privateKey": pem.replace("\n", "\\n")})
    read = from_key_file(path)
    assert (read.key_name, read.algorithm) == (KEY_NAME, "ES256")
    assert read.fingerprint() == from_values(KEY_NAME, Secret(pem)).fingerprint()


def test_every_shape_of_an_ed25519_key_is_the_same_key() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    seed = key.private_bytes_raw()
    both = seed + key.public_key().public_bytes_raw()
    shapes = [pem, pem.replace("\n", "\\n"), base64.b64encode(seed).decode(), base64.b64encode(both).decode()]
    shapes += [base64.b64encode(seed).decode().rstrip("="), base64.b64encode(both).decode().rstrip("=")]
    read = [from_values(KEY_NAME, Secret(shape)) for shape in shapes]
    assert {each.algorithm for each in read} == {"EdDSA"}
    assert len({each.fingerprint() for each in read}) == 1


def test_an_ec_key_in_pkcs8_is_read_as_well() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert from_values(KEY_NAME, Secret(pem)).algorithm == "ES256"


def encrypted_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")).decode()


def legacy_encrypted_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"pass")).decode()


def rsa_pem() -> str:
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def halves_apart() -> str:
    one, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    return base64.b64encode(one.private_bytes_raw() + other.public_key().public_bytes_raw()).decode()


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (lambda: base64.b64encode(b"x" * 30).decode(), "too short: 30 bytes"),
        (lambda: base64.b64encode(b"x" * 33).decode(), "of the wrong length: 33 bytes"),
        (lambda: base64.b64encode(b"x" * 32).decode()[:-3], "cut short"),
        (lambda: "a sentence, not a key", "neither PEM nor base64"),
        (lambda: "   ", "empty"),
        (lambda: ec_pem(ec.SECP384R1()), "wrong curve secp384r1"),
        (lambda: ec_pem(ec.SECP256K1()), "wrong curve secp256k1"),
        (rsa_pem, "wrong kind of key"),
        (encrypted_pem, "encrypted"),
        (legacy_encrypted_pem, "encrypted"),
        (lambda: ec_pem()[:90], "END line is missing"),
        (lambda: ec_pem().replace("-----BEGIN EC PRIVATE KEY-----", "-----"), "BEGIN line is damaged"),
        (lambda: "\n".join(line for n, line in enumerate(ec_pem().splitlines()) if n != 2), "damaged or cut short"),
        (lambda: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "holds a certificate"),
        (lambda: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "this is a public key"),
        (halves_apart, "public half does not belong"),
    ],
)
def test_a_damaged_key_says_what_is_wrong_with_it_and_nothing_of_what_is_in_it(
    damaged: Callable[[], str], said: str
) -> None:
    text = damaged()
    with pytest.raises(CredentialsError) as caught:
        from_values(KEY_NAME, Secret(text))
    assert said in caught.value.message
    assert caught.value.fix
    whole = told_by(caught.value)
    inner = [line for line in text.splitlines() if len(line) > 20 and "-----" not in line]
    assert not [line for line in inner if line in whole]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x" * 30, "is not JSON (30 bytes)"),
        ('{"name": "a", ', "damaged JSON"),
        ("[1]", "is not JSON"),
        ({"privateKey": "x"}, "has no `name`"),
        ({"name": "a"}, "has no `privateKey`"),
        ({"name": "a b", "privateKey": "x"}, "not one word"),
        ({"name": KEY_NAME, "privateKey": "AAAA"}, "3 bytes"),
        ("", "is empty"),
        ("-----BEGIN EC PRIVATE KEY-----", "PEM file without a key name"),
        ("{" * 60_000, "damaged JSON"),
    ],
)
def test_a_damaged_key_file_says_what_is_wrong_with_it(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        from_key_file(key_file(tmp_path, content))
    assert said in caught.value.message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o666, 0o610])
def test_a_key_file_others_could_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, {"name": KEY_NAME, "privateKey": ec_pem()}, mode=mode)
    with pytest.raises(CredentialsError, match=f"mode 0{mode:o}"):
        from_key_file(path)


def test_the_text_of_a_key_file_is_read_like_the_file() -> None:
    text = json.dumps({"name": KEY_NAME, "privateKey": ec_pem()})
    assert from_key_text(Secret(text)).key_name == KEY_NAME
    with pytest.raises(CredentialsError, match="the given key text: is not JSON"):
        from_key_text(Secret("x"))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_of_ours_alone_is_taken(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, {"name": KEY_NAME, "privateKey": ec_pem()}, mode=mode)
    assert from_key_file(path).key_name == KEY_NAME


def test_S6_no_symlink_folder_pipe_or_missing_file_is_read_as_a_key(tmp_path: Path) -> None:
    real = key_file(tmp_path, {"name": KEY_NAME, "privateKey": ec_pem()})
    link = tmp_path / "link.json"
    link.symlink_to(real)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path, said in [
        (link, "symbolic link"),
        (pipe, "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "none", "does not exist"),
    ]:
        with pytest.raises(CredentialsError, match=said):
            from_key_file(path)


def test_a_huge_or_binary_file_is_no_key(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 70_000)
    big.chmod(0o600)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    binary.chmod(0o600)
    with pytest.raises(CredentialsError, match="not a key"):
        from_key_file(big)
    with pytest.raises(CredentialsError, match="not text"):
        from_key_file(binary)


def test_a_pem_file_takes_its_name_from_the_configuration(tmp_path: Path) -> None:
    path = key_file(tmp_path, ed_pem())
    assert from_pem_file(path, KEY_NAME).key_name == KEY_NAME


def test_the_environment_gives_a_key_or_names_what_is_missing() -> None:
    read = from_environment({"PERPSCTL_API_KEY": KEY_NAME, "PERPSCTL_API_SECRET": ec_pem()})
    assert read.key_name == KEY_NAME
    with pytest.raises(CredentialsError, match="PERPSCTL_API_SECRET is not set"):
        from_environment({"PERPSCTL_API_KEY": KEY_NAME})


def test_S1_neither_a_secret_nor_credentials_can_be_shown_or_pickled() -> None:
    pem = ec_pem()
    secret = Secret(pem)
    key = from_values(KEY_NAME, secret)
    body = pem.splitlines()[1]
    for shown in (repr(secret), str(secret), f"{secret:>40}", repr(key), str(key), repr([key]), f"{key!r:>9}"):
        assert body not in shown
        assert "BEGIN" not in shown
    for thing in (secret, key):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        assert not hasattr(thing, "__dict__")
    assert isinstance(key, Credentials)
    assert len(key.fingerprint()) == 16
