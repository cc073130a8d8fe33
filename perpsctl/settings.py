"""Configuration, read once: the file, then `PERPSCTL_…` variables, then options; each value remembers its source.

The file is `$PERPSCTL_HOME/perpsctl.toml` (else the platform's configuration folder), never the working directory. Unknown
keys are errors wherever they stand: a limit that is misspelt must not be a limit that is gone (R6). No secret is read here,
only where keys are kept.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from perpsctl import places
from perpsctl.domain.errors import ConfigError
from perpsctl.domain.products import Environment, VenueId
from perpsctl.domain.text import shown
from perpsctl.risk.limits import RiskLimits

PREFIX = "PERPSCTL_"
NOT_OF_A_PROFILE = frozenset({"PERPSCTL_HOME", "PERPSCTL_PROFILE", "PERPSCTL_CONFIG", "PERPSCTL_SAMPLES"})
BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    "sim": {"venue": "us", "environment": "sim"},
    "sim-global": {"venue": "global", "environment": "sim"},
}
DEFAULT_PROFILE = "sim"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_HOSTS = re.compile(r"[A-Za-z0-9.:,_\-\[\]]*", re.ASCII)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeyRefs(_Strict):
    """Where each key is kept: a file's path, or `env:PREFIX` for the variables PREFIX_NAME and PREFIX_SECRET."""

    trade: str | None = None
    monitor: str | None = None
    analytics: str | None = None


class JournalPlace:
    """Where a shared journal is: `postgresql://…`, or `env:NAME` for the variable that holds it. Shown without its secret."""

    __slots__ = ("_reference",)

    def __init__(self, reference: str) -> None:
        self._reference = reference
        if not reference.startswith("env:"):
            _require_address(reference)
        elif not _VARIABLE.fullmatch(reference.removeprefix("env:")):
            raise ConfigError("journal: env: is followed by a variable's name", fix="write journal = 'env:JOURNAL_URL'")

    def address(self, environ: Mapping[str, str]) -> str:
        """The address with its secret; ConfigError when the variable is not set or holds no address."""
        if not self._reference.startswith("env:"):
            return self._reference
        name = self._reference.removeprefix("env:")
        held = environ.get(name, "")
        if not held:
            raise ConfigError(f"journal: the variable {name} is not set", fix="set it to the journal's address")
        _require_address(held)
        return held

    def __repr__(self) -> str:
        return f"JournalPlace({self})"

    def __str__(self) -> str:
        if self._reference.startswith("env:"):
            return self._reference
        parts = urlsplit(self._reference)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _require_address(url: str) -> None:
    """ConfigError, without quoting it, for what is no address, or one whose parts cannot be told from its password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    host = parts.netloc.rpartition("@")
    odd = "@" in host[0] or "@" in parts.path or parts.fragment or not _HOSTS.fullmatch(host[2])
    if parts.scheme not in ("postgresql", "postgres") or odd:
        raise ConfigError(
            "journal: not an address of PostgreSQL",
            fix="write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with % for what is special in a password",
        )
    if any(name in ("password", "sslpassword") for name, _ in parse_qsl(parts.query)):
        raise ConfigError(
            "journal: a password does not go behind the `?`", fix="write it before the @, or in PGPASSFILE"
        )


class RunSettings(_Strict):
    """Defaults of `run`; options override them."""

    strategy: str = "canary"
    product: str = "BTC-PERP"
    interval_ms: int = Field(default=1000, ge=50, le=600_000)


class _ProfileModel(BaseSettings):
    """The shape of one `[profile.NAME]` table."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, case_sensitive=False
    )

    venue: Literal["us", "global"] = "us"
    environment: Literal["sim", "sandbox", "production"] = "sim"
    live: bool = False
    portfolio: str | None = None
    products: tuple[str, ...] = ()
    keys: KeyRefs = KeyRefs()
    journal: SecretStr | None = None
    anchors: str | None = Field(default=None, min_length=1)
    egress: tuple[str, ...] = ()
    limits: dict[str, Any] = Field(default_factory=dict)
    run: RunSettings = RunSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Everything is merged before it comes here: no source reads the process's environment behind our back."""
        return (init_settings,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """One effective value with where it came from."""

    key: str
    value: str
    source: str  # "default" | "built in" | "file" | "variable PERPSCTL_X" | "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything a command needs to know of how it is set up."""

    name: str
    venue: VenueId
    environment: Environment
    live: bool
    portfolio: str | None
    products: tuple[str, ...]
    keys: KeyRefs
    journal: JournalPlace | None  # None: a file in the profile's own folder
    anchors: Path  # the file outside that folder where heads of the journal are kept
    egress: tuple[str, ...]
    limits: RiskLimits
    run: RunSettings
    sources: tuple[Sourced, ...]
    config_file: Path
    config_exists: bool

    @property
    def folder(self) -> Path:
        """Where this profile's state lives."""
        return places.profile_folder(self.name)


def load(*, profile: str | None = None, config: str | None = None, environ: Mapping[str, str] | None = None) -> Profile:
    """The profile asked for, else `PERPSCTL_PROFILE`, else `default_profile`, else the built-in `sim`.

    Raises ConfigError for anything missing, unknown or not legal, naming the key and the place it was read from.
    """
    env = os.environ if environ is None else environ
    path = Path(config or env.get("PERPSCTL_CONFIG") or places.config_file(env)).expanduser()
    explicit = bool(config or env.get("PERPSCTL_CONFIG"))
    document = _read(path, must_exist=explicit)
    name = places.profile_name(profile or env.get("PERPSCTL_PROFILE") or document.default or DEFAULT_PROFILE)
    table = document.profiles.get(name)
    if table is None and name not in BUILT_IN:
        known = ", ".join(sorted({*document.profiles, *BUILT_IN}))
        raise ConfigError(f"no profile {name!r}", fix=f"known profiles: {known}; see `perpsctl config init`")
    layers = [("built in", BUILT_IN.get(name, {})), ("file", table or {}), *_variables(env)]
    return _build(name, layers, path, exists=document.exists, env=env)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    exists: bool
    default: str | None
    profiles: Mapping[str, Mapping[str, Any]]


def _read(path: Path, *, must_exist: bool) -> _Document:
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"no configuration file at {shown(path)}", fix="check --config") from None
        return _Document(exists=False, default=None, profiles={})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{shown(path)} cannot be read: {type(error).__name__}", fix="check the file") from None
    try:
        raw = tomllib.loads(text, parse_float=str)  # a limit keeps every digit it was written with
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise ConfigError(f"{shown(path)} is not TOML: {shown(error)}", fix="mend that line") from None
    unknown = sorted(set(raw) - {"default_profile", "profile"})
    if unknown:
        raise ConfigError(f"unknown key {shown(unknown[0])!r} in {shown(path)}", fix="known: default_profile, profile")
    default, profiles = raw.get("default_profile"), raw.get("profile", {})
    if default is not None and not isinstance(default, str):
        raise ConfigError("default_profile is a name in quotes", fix='write default_profile = "NAME"')
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise ConfigError("profiles are tables", fix="write [profile.NAME]")
    for profile_name, table in profiles.items():
        places.profile_name(profile_name)
        if (
            profile_name not in BUILT_IN and "environment" not in table
        ):  # [profile.dsk.limits] beside [profile.desk] (R6)
            raise ConfigError(
                f"profile {profile_name} names no environment; nothing was loaded",
                fix='write environment = "sim" (or sandbox, production), or mend the table\'s name',
            )
    return _Document(exists=True, default=default, profiles=profiles)


def _variables(env: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One layer a `PERPSCTL_…` variable, parsed by pydantic-settings' rules; an unknown name is an error."""
    for name in sorted(env):
        if not name.upper().startswith(PREFIX) or name.upper() in NOT_OF_A_PROFILE:
            continue
        source = EnvSettingsSource(_ProfileModel, env_prefix=PREFIX, env_nested_delimiter="__")
        source.env_vars = {name.lower(): env[name]}
        try:
            found = source()
        except SettingsError as error:
            raise ConfigError(f"variable {shown(name)} cannot be read: {shown(error, 120)}", fix="mend it") from None
        if not found:
            raise ConfigError(f"unknown variable {shown(name)}", fix="see `perpsctl config show` for the known keys")
        yield f"variable {name.upper()}", found


def _build(
    name: str, layers: list[tuple[str, Mapping[str, Any]]], path: Path, *, exists: bool, env: Mapping[str, str]
) -> Profile:
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for label, layer in layers:
        for key, value in _leaves(layer):
            sources[key] = label
            _put(merged, key, value)
    try:
        model = _ProfileModel(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        origin = sources.get(key, "file")
        raise ConfigError(f"profile {name}: {shown(key)} ({origin}): {shown(first['msg'])}", fix="mend it") from None
    allowed = {"products_allowed": list(model.products)} if model.products else {}
    limits = _limits(name, allowed | model.limits)
    journal = None if model.journal is None else model.journal.get_secret_value()
    return Profile(
        name=name,
        venue=VenueId(model.venue),
        environment=Environment(model.environment),
        live=model.live,
        portfolio=model.portfolio,
        products=model.products,
        keys=model.keys,
        journal=None if journal is None else JournalPlace(journal),
        anchors=_anchors(name, model.anchors, env),
        egress=model.egress,
        limits=limits,
        run=model.run,
        sources=tuple(_effective(model, limits, sources)),
        config_file=path,
        config_exists=exists,
    )


def _anchors(name: str, told: str | None, env: Mapping[str, str]) -> Path:
    """Where heads of the journal are kept: never found from the working directory."""
    path = places.anchors_file(name, env) if told is None else Path(told).expanduser()
    if not path.is_absolute():
        raise ConfigError(f"profile {name}: anchors is no whole path", fix="write it from the root, or from ~")
    return path


def _limits(name: str, raw: Mapping[str, Any]) -> RiskLimits:
    try:
        return RiskLimits.from_mapping(raw)
    except ConfigError as error:
        raise ConfigError(f"profile {name}: limits: {error.message}", fix=error.fix) from None


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _put(merged: dict[str, Any], key: str, value: object) -> None:
    *folders, last = key.split(".")
    for folder in folders:
        below = merged.setdefault(folder, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{shown(folder)} is given both as a value and as a table", fix="keep one of the two")
        merged = below
    merged[last] = value


def _effective(model: _ProfileModel, limits: RiskLimits, sources: Mapping[str, str]) -> Iterator[Sourced]:
    shape = model.model_dump(exclude={"limits"})
    for key, value in sorted(_leaves(shape)):
        yield Sourced(key=key, value=_plain_text(value), source=sources.get(key, "default"))
    for row in limits.as_rows():
        key = f"limits.{row.name}"
        yield Sourced(key=key, value=row.value, source=sources.get(key, "default"))


def _plain_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SecretStr):
        return str(JournalPlace(value.get_secret_value()))
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value)
    return str(value)
