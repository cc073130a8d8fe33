"""Throw-away keys of one start or reset: made here, written for the operator's own profile, forgotten by the next reset.

No key of this room works anywhere else. The private halves leave only as 0600 files in `<exchange folder>/keys/`; nothing
here prints or logs one.
"""

import base64
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from perpsctl.places import private_folder

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Role(StrEnum):
    """What a key is for; only `trade` may trade."""

    TRADE = "trade"
    MONITOR = "monitor"
    ANALYTICS = "analytics"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What the exchange knows of a key: its public half and its rights."""

    role: Role
    name: str  # organizations/{org}/apiKeys/{id}
    public_key: PublicKey = field(repr=False)
    can_view: bool = True
    can_trade: bool = False
    can_transfer: bool = False
    portfolio_uuid: str | None = None  # None: the account's own
    active: bool = True

    @property
    def key_id(self) -> str:
        """The bare UUID some key files carry instead of the name."""
        return self.name.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowAwayKey:
    """A record and its private half."""

    record: KeyRecord
    secret: PrivateKey = field(repr=False)

    def file_text(self) -> str:
        """The key file as Coinbase's site hands it out: EC keys as SEC1 PEM, Ed25519 as base64 of seed and public key."""
        return json.dumps({"name": self.record.name, "privateKey": _secret_text(self.secret)}, indent=2) + "\n"


class KeyRing:
    """The keys an exchange accepts, found by name or bare id."""

    def __init__(self, records: Iterable[KeyRecord]) -> None:
        self._by_id: dict[str, KeyRecord] = {}
        for record in records:
            self._keep(record)

    def find(self, kid: str) -> KeyRecord | None:
        """The record under a key name or bare id, active or not."""
        record = self._by_id.get(kid.rsplit("/", 1)[-1])
        return record if record is not None and kid in (record.name, record.key_id) else None

    def of(self, role: Role) -> KeyRecord:
        """The record of a role."""
        return next(record for record in self._by_id.values() if record.role is role)

    def change(
        self,
        role: Role,
        *,
        can_view: bool | None = None,
        can_trade: bool | None = None,
        can_transfer: bool | None = None,
        active: bool | None = None,
        portfolio_uuid: str | None = None,
    ) -> KeyRecord:
        """The key of `role` has these rights from now on; what is None stays. `active=False` is a deleted key (A2)."""
        old = self.of(role)
        new = replace(
            old,
            can_view=old.can_view if can_view is None else can_view,
            can_trade=old.can_trade if can_trade is None else can_trade,
            can_transfer=old.can_transfer if can_transfer is None else can_transfer,
            active=old.active if active is None else active,
            portfolio_uuid=old.portfolio_uuid if portfolio_uuid is None else portfolio_uuid,
        )
        self._keep(new)
        return new

    def replace_all(self, records: Iterable[KeyRecord]) -> None:
        """Only these keys are known from now on."""
        self._by_id = {record.key_id: record for record in records}

    def _keep(self, record: KeyRecord) -> None:
        self._by_id[record.key_id] = record


def throw_away_keys() -> tuple[ThrowAwayKey, ...]:
    """Fresh keys: trade (P-256, view and trade), monitor (Ed25519, view), analytics (P-256, view)."""
    trade: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    monitor: PrivateKey = ed25519.Ed25519PrivateKey.generate()
    analytics: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    organisation = _uuid_of(trade, "organisation")
    return tuple(
        ThrowAwayKey(
            record=KeyRecord(
                role=role,
                name=f"organizations/{organisation}/apiKeys/{_uuid_of(secret, 'key')}",
                public_key=secret.public_key(),
                can_trade=role is Role.TRADE,
            ),
            secret=secret,
        )
        for role, secret in ((Role.TRADE, trade), (Role.MONITOR, monitor), (Role.ANALYTICS, analytics))
    )


def write_key_files(folder: Path, keys: Iterable[ThrowAwayKey]) -> dict[str, Path]:
    """Each key stands in `folder/<role>.json`, 0600, replaced in one step; older files of other names are gone."""
    keys = tuple(keys)
    private_folder(folder)
    written = {key.record.role.value: folder / f"{key.record.role.value}.json" for key in keys}
    for key in keys:
        replace_private_file(written[key.record.role.value], key.file_text().encode("ascii"))
    for stray in set(folder.iterdir()) - set(written.values()):
        stray.unlink()
    return written


def replace_private_file(path: Path, content: bytes) -> None:
    """`path` holds `content`, 0600, in one atomic step; a symlink in its place is replaced, never followed (S6)."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _secret_text(secret: PrivateKey) -> str:
    if isinstance(secret, ed25519.Ed25519PrivateKey):
        return base64.b64encode(secret.private_bytes_raw() + secret.public_key().public_bytes_raw()).decode("ascii")
    return secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode("ascii")


def _uuid_of(secret: PrivateKey, purpose: str) -> uuid.UUID:
    """An id that follows from the key itself: nothing here draws random numbers but the key's own making."""
    public = secret.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{purpose}:{public.hex()}")
