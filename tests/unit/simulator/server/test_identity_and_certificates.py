"""Throw-away keys and certificates: of the shapes the venue hands out, ours alone, and good for nothing else."""

import base64
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from perpsctl.domain.errors import ConfigError
from perpsctl.simulator.identity import KeyRing, Role, replace_private_file, throw_away_keys, write_key_files
from perpsctl.simulator.ratelimit import Budgets
from perpsctl.simulator.tls import loopback_certificates

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_only_the_trade_key_trades_and_none_transfers() -> None:
    records = {key.record.role: key.record for key in throw_away_keys()}
    assert {role: (each.can_view, each.can_trade, each.can_transfer) for role, each in records.items()} == {
        Role.TRADE: (True, True, False),
        Role.MONITOR: (True, False, False),
        Role.ANALYTICS: (True, False, False),
    }
    assert len({each.name for each in records.values()}) == 3
    assert all(each.name.startswith("organizations/") and "/apiKeys/" in each.name for each in records.values())


def test_key_files_have_the_downloaded_shapes_and_are_ours_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "old.json").touch()
    files = write_key_files(folder, throw_away_keys())
    assert sorted(path.name for path in folder.iterdir()) == ["analytics.json", "monitor.json", "trade.json"]
    for role, path in files.items():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = json.loads(path.read_text(encoding="ascii"))
        assert set(content) == {"name", "privateKey"}
        if role == "monitor":
            assert len(base64.b64decode(content["privateKey"])) == 64  # seed, then public key
        else:
            assert content["privateKey"].startswith("-----BEGIN EC PRIVATE KEY-----\n")
            assert isinstance(load_pem_private_key(content["privateKey"].encode(), None), EllipticCurvePrivateKey)


def test_s6_a_planted_symlink_is_replaced_and_never_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched", encoding="ascii")
    place = tmp_path / "file"
    place.symlink_to(victim)
    replace_private_file(place, b"ours")
    assert (victim.read_text(encoding="ascii"), place.read_bytes(), place.is_symlink()) == ("untouched", b"ours", False)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "keys").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        write_key_files(tmp_path / "keys", throw_away_keys())


def test_a_key_is_found_by_name_or_bare_id_and_by_no_other_name() -> None:
    key = throw_away_keys()[0]
    ring = KeyRing([key.record])
    assert ring.find(key.record.name) is ring.find(key.record.key_id) is key.record
    assert ring.find(f"organizations/other/apiKeys/{key.record.key_id}") is None
    assert "PRIVATE" not in repr(key) + repr(ring)


def test_the_authority_vouches_for_loopback_only_and_keeps_no_key() -> None:
    made = loopback_certificates(NOW)
    authority = x509.load_pem_x509_certificate(made.ca)
    server = x509.load_pem_x509_certificates(made.chain)[0]
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert server.not_valid_after_utc - NOW <= timedelta(days=30)
    assert "key=" not in repr(made)
    assert loopback_certificates(NOW).ca != made.ca


def test_a_budget_refills_with_the_venues_time_and_never_beyond_full() -> None:
    budgets = Budgets()
    assert [budgets.take("a", 2, NOW).allowed for _ in range(3)] == [True, True, False]
    assert budgets.take("b", 2, NOW).allowed
    half = NOW + timedelta(milliseconds=500)
    assert [budgets.take("a", 2, half).allowed for _ in range(2)] == [True, False]
    assert not budgets.take("a", 2, half - timedelta(hours=1)).allowed  # a clock set back refills nothing
    much_later = half + timedelta(hours=1)
    assert [budgets.take("a", 2, much_later).allowed for _ in range(3)] == [True, True, False]
    assert budgets.take("a", 2, much_later).reset_s == 1
