"""API keys: read from a file, a PEM file or the environment, checked, and kept so that they cannot be shown.

The secret leaves this module as a signature only: it is in no repr, no exception, no pickle, and no local variable of
a function that raises. A damaged key says what is wrong with it, never what is in it.

Key shapes (coinbase-advanced-trade.md section 2, 2026-11-22): EC P-256 as SEC1 or PKCS8 PEM, newlines possibly written
as backslash-n; Ed25519 as PKCS8 PEM, or base64 of the 32 byte seed, or base64 of 64 bytes (seed, then public key).
"""

import base64
import binascii
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from perpsctl.domain.errors import CredentialsError
from perpsctl.domain.text import shown

__all__ = [
    "Credentials",
    "Secret",
    "from_environment",
    "from_key_file",
    "from_key_text",
    "from_pem_file",
    "from_values",
]

KEY_FILE_BYTES_MAX = 64 * 1024
ENV_KEY = "PERPSCTL_API_KEY"
ENV_SECRET = "PERPSCTL_API_SECRET"  # noqa: S105 - the name of a variable, not a secret
_KEY_NAME = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_SHA256 = ECDSA(SHA256())
_FIX = "download the key again from the Coinbase developer platform and point the profile at that file"

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey


class Secret:
    """Text that cannot be shown by accident: repr, str, format and pickling tell nothing."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself; for the parsers of this module, none of which raises."""
        return self.__text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


class Credentials:
    """One API key, ready to sign: parsed once, its secret unreachable from outside."""

    __slots__ = ("__key", "algorithm", "key_name")

    def __init__(self, key_name: str, key: PrivateKey) -> None:
        self.key_name = key_name
        self.__key = key
        self.algorithm = "ES256" if isinstance(key, EllipticCurvePrivateKey) else "EdDSA"

    def sign(self, message: bytes) -> bytes:
        """The raw signature of `message` as JWS wants it (RFC 7515): 64 bytes for either algorithm."""
        key = self.__key
        if isinstance(key, Ed25519PrivateKey):
            return key.sign(message)
        r, s = decode_dss_signature(key.sign(message, _SHA256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def public_pem(self) -> bytes:
        """The public half, for whoever verifies our signatures."""
        return self.__key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def fingerprint(self) -> str:
        """16 hex digits of the public key's SHA-256: names the key in records without telling anything of it."""
        der = self.__key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Credentials({self.algorithm}, fingerprint {self.fingerprint()})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


def from_key_file(path: Path) -> Credentials:
    """Reads a downloaded key file: JSON with `name` (or `id`) and `privateKey`. CredentialsError says what is wrong."""
    return _of_key_file(_read_private(path), where=f"key file {_named(path)}")


def from_key_text(text: Secret) -> Credentials:
    """The same from the content of a key file already at hand, e.g. of a mounted secret or the in-process simulator."""
    return _of_key_file(text, where="the given key text")


def _of_key_file(text: Secret, *, where: str) -> Credentials:
    parsed = _key_file_parts(text)
    if isinstance(parsed, str):
        raise CredentialsError(f"{where}: {parsed}", fix=_FIX)
    name, secret = parsed
    return _made(name, secret, where=where)


def from_pem_file(path: Path, key_name: str) -> Credentials:
    """Reads a PEM (or base64) key file whose name comes from the configuration."""
    return _made(key_name, _read_private(path), where=f"key file {_named(path)}")


def from_values(key_name: str, secret: Secret) -> Credentials:
    """Credentials from values already at hand, e.g. of a keyring."""
    return _made(key_name, secret, where="the given key")


def from_environment(environment: Mapping[str, str], *, name: str = ENV_KEY, secret: str = ENV_SECRET) -> Credentials:
    """Credentials from two environment values; CredentialsError names the one that is missing."""
    for wanted in (name, secret):
        if not environment.get(wanted):
            raise CredentialsError(f"{wanted} is not set", fix=f"set {name} and {secret}, or name a key file")
    return _made(environment[name], Secret(environment[secret]), where=f"the key in {secret}")


def _named(path: Path) -> str:
    return shown(str(path))


def _read_private(path: Path) -> Secret:
    """The content of a regular file of ours that nobody else can read; no symlink is followed (S6)."""
    content = _open_and_read(path)
    if isinstance(content, Secret):
        return content
    problem, fix = content
    raise CredentialsError(f"key file {_named(path)} {problem}", fix=fix)


def _open_and_read(path: Path) -> Secret | tuple[str, str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return "does not exist", "check the path in the profile"
    except PermissionError:
        return "cannot be read by this user", "change its owner, keep mode 0600"
    except OSError as refused:
        if path.is_symlink():
            return "is a symbolic link", "name the file itself in the profile"
        return f"cannot be opened ({refused.strerror})", "check the path in the profile"
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return "is not a regular file", "check the path in the profile"
        if stat.S_IMODE(facts.st_mode) & 0o077:
            mode = f"{stat.S_IMODE(facts.st_mode):04o}"
            return f"can be used by others (mode {mode})", f"chmod 600 {_named(path)}, then replace the key"
        if facts.st_uid not in (os.geteuid(), 0):
            return "belongs to another user", "change its owner, keep mode 0600"
        data = os.read(descriptor, KEY_FILE_BYTES_MAX + 1)
    except OSError as refused:
        return f"cannot be read ({refused.strerror})", "check the disk"
    finally:
        os.close(descriptor)
    if len(data) > KEY_FILE_BYTES_MAX:
        return f"is over {KEY_FILE_BYTES_MAX} bytes: not a key", _FIX
    if not data.strip():
        return "is empty", _FIX
    try:
        return Secret(data.decode("utf-8"))
    except UnicodeDecodeError:
        return "is not text", _FIX


def _key_file_parts(text: Secret) -> tuple[str, Secret] | str:
    """(key name, private key), or what is wrong. Never raises: the text stays in this frame."""
    raw = text.reveal().strip()
    if not raw.startswith("{"):
        if raw.startswith("-----BEGIN"):
            return "is a PEM file without a key name; give the profile a key name as well"
        return f"is not JSON ({len(raw)} bytes)"
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return f"is damaged JSON ({len(raw)} bytes)"
    if not isinstance(body, dict):
        return "is not a JSON object"
    name = body.get("name") or body.get("id")
    secret = body.get("privateKey")
    if not isinstance(name, str):
        return "has no `name` (or `id`)"
    if not isinstance(secret, str) or not secret.strip():
        return "has no `privateKey`"
    return name, Secret(secret)


def _made(key_name: str, secret: Secret, *, where: str) -> Credentials:
    if _KEY_NAME.fullmatch(key_name) is None:
        raise CredentialsError(f"{where}: the key name is not one word of plain text", fix=_FIX)
    key = _parsed(secret)
    if isinstance(key, str):
        raise CredentialsError(f"{where}: {key}", fix=_FIX)
    return Credentials(key_name, key)


def _parsed(secret: Secret) -> PrivateKey | str:
    """The key, or what is wrong with it. Never raises: the text stays in this frame."""
    text = secret.reveal().strip().strip('"').replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").strip()
    if not text:
        return "the private key is empty"
    if "-----" in text:
        return _from_pem(text)
    return _from_base64(text)


def _from_pem(text: str) -> PrivateKey | str:
    problem = _pem_problem(text)
    if problem:
        return problem
    try:
        key = load_pem_private_key(text.encode("ascii", "replace"), password=None)
    except TypeError:
        return "the private key is encrypted; a key without a password is needed"
    except (ValueError, UnsupportedAlgorithm):
        return "the PEM is damaged or cut short: its content is no private key"
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, EllipticCurvePrivateKey):
        return "wrong kind of key: an EC P-256 or Ed25519 key is needed"
    if not isinstance(key.curve, SECP256R1):
        return f"wrong curve {key.curve.name}: P-256 (secp256r1) is needed"
    return key


def _pem_problem(text: str) -> str:
    begin = re.search(r"-----BEGIN ([A-Z0-9 ]{1,40})-----", text)
    if begin is None:
        return "not PEM: the BEGIN line is damaged"
    label = begin.group(1)
    if f"-----END {label}-----" not in text:
        return "the PEM is cut short: its END line is missing"
    if "ENCRYPTED" in label or "Proc-Type: 4,ENCRYPTED" in text:
        return "the private key is encrypted; a key without a password is needed"
    if "PUBLIC KEY" in label:
        return "this is a public key; the private key is needed"
    if "PRIVATE KEY" not in label:
        return f"this PEM holds a {label.lower()}, not a private key"
    return ""


def _from_base64(text: str) -> PrivateKey | str:
    packed = "".join(text.split())
    if _BASE64.fullmatch(packed) is None:
        return f"neither PEM nor base64 ({len(text.encode('utf-8'))} bytes)"
    if len(packed) % 4:
        if len(packed) == 43:  # 32 bytes, written without padding
            packed += "="
        elif len(packed) == 86:  # 64 bytes, written without padding
            packed += "=="
        else:
            return f"the base64 is cut short: {len(packed)} characters are no multiple of four"
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return "the base64 is damaged"
    if len(data) not in (32, 64):
        length = "too short" if len(data) < 32 else "of the wrong length"
        return f"the key is {length}: {len(data)} bytes, an Ed25519 key has 32 or 64"
    key = Ed25519PrivateKey.from_private_bytes(data[:32])
    if len(data) == 64 and key.public_key().public_bytes_raw() != data[32:]:
        return "the key is damaged: its public half does not belong to its private half"
    return key
