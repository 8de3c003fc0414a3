"""Sealing, and keys that can be forgotten."""

import os
import stat
from pathlib import Path

import pytest

from crewship.secrets import KEY_BYTES, KeyRing, SqliteKeyStore, WrongKey, installation_key, seal, unseal


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(SqliteKeyStore(tmp_path / "keys.db"), b"k" * KEY_BYTES)


def test_what_is_sealed_opens_with_its_key_and_place_alone():
    key, other = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)
    sealed = seal(key, b"secret", b"here")
    assert b"secret" not in sealed
    assert unseal(key, sealed, b"here") == b"secret"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for wrong in ((other, sealed, b"here"), (key, sealed, b"there"), (key, changed, b"here")):
        with pytest.raises(WrongKey):
            unseal(*wrong)


def test_the_installations_key_is_made_once_and_is_its_owners_alone(tmp_path: Path):
    path = tmp_path / "installation.key"
    key = installation_key(path)
    assert installation_key(path) == key
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in tmp_path.iterdir()] == ["installation.key"]
    path.write_bytes(b"short")
    with pytest.raises(WrongKey, match="does not hold a key"):
        installation_key(path)


def test_a_subject_keeps_its_key(ring: KeyRing, tmp_path: Path):
    keys = ring.ensure({"run_1", "run_2"})
    assert keys["run_1"] != keys["run_2"]
    assert ring.ensure({"run_1"})["run_1"] == keys["run_1"]
    again = KeyRing(SqliteKeyStore(tmp_path / "keys.db"), b"k" * KEY_BYTES)
    assert again.keys({"run_1", "run_3"}) == {"run_1": keys["run_1"], "run_3": None}
    again.close()
    ring.close()


def test_a_forgotten_key_is_gone_from_the_disk(ring: KeyRing, tmp_path: Path):
    ring.ensure({"run_1"})
    sealed = ring._store.fetch(["run_1"])["run_1"]
    assert any(sealed in path.read_bytes() for path in tmp_path.iterdir())
    assert ring.forget("run_1")
    assert not ring.forget("run_1")
    assert ring.keys({"run_1"}) == {"run_1": None}
    assert not any(sealed in path.read_bytes() for path in tmp_path.iterdir())
    ring.close()


def test_another_installation_cannot_open_the_keys(ring: KeyRing, tmp_path: Path):
    ring.ensure({"run_1"})
    thief = KeyRing(SqliteKeyStore(tmp_path / "keys.db"), b"x" * KEY_BYTES)
    with pytest.raises(WrongKey):
        thief.keys({"run_1"})
    thief.close()
    ring.close()
