"""Sealing. What must be kept secret or may have to be forgotten is encrypted under a data key of its subject.

Data keys are random, one a subject (a run, a version, a deployment's variables), and lie beside the log sealed by the
installation's key. Deleting a data key is the only deletion there is: what was sealed under it can never be read again.
"""

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
CACHED_KEYS = 10_000


class WrongKey(Exception):
    """What lies here was sealed under another key, or was changed."""


def seal(key: bytes, clear: bytes, bound_to: bytes) -> bytes:
    """AES-256-GCM: nonce, then ciphertext with its tag. Opens only with the same key and the same `bound_to`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The clear bytes; raises WrongKey."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise WrongKey("sealed under another key, or changed since") from None


def installation_key(path: Path) -> bytes:
    """The installation's key, made on first use: 32 random bytes in a file that its owner alone can read.

    It is written beside and linked into place, so that a crash leaves either no key or a whole one.
    """
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        _sync_folder(path.parent)
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise WrongKey(f"{path} does not hold a key of {KEY_BYTES} bytes")
    return key


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class KeyStore(Protocol):
    """Where sealed data keys lie. Called from worker threads, one call at a time."""

    def fetch(self, subjects: Iterable[str]) -> dict[str, bytes]:
        """The sealed keys of those subjects that have one."""
        ...

    def keep(self, keys: dict[str, bytes]) -> dict[str, bytes]:
        """Store sealed keys durably; where a subject has one already, that one stands. Returns those that stand."""
        ...

    def delete(self, subject: str) -> bool:
        """Forget a subject's key for ever; False if there was none."""
        ...

    def page(self, after: str, limit: int) -> list[tuple[str, bytes]]:
        """The first `limit` subjects behind one, in their order, with their sealed keys."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class SqliteKeyStore:
    """Sealed data keys in a file of their own, so that what is deleted leaves no trace in the log's file."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA secure_delete=ON")
        self._db.execute("CREATE TABLE IF NOT EXISTS data_keys (subject TEXT PRIMARY KEY, sealed BLOB NOT NULL)")

    def fetch(self, subjects: Iterable[str]) -> dict[str, bytes]:
        wanted = list(subjects)
        marks = ",".join("?" * len(wanted))
        query = f"SELECT subject, sealed FROM data_keys WHERE subject IN ({marks})"  # noqa: S608 only question marks
        return dict(self._db.execute(query, wanted))

    def keep(self, keys: dict[str, bytes]) -> dict[str, bytes]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR IGNORE INTO data_keys VALUES (?, ?)", keys.items())
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return self.fetch(keys)

    def delete(self, subject: str) -> bool:
        gone = self._db.execute("DELETE FROM data_keys WHERE subject = ?", (subject,)).rowcount > 0
        # What was deleted must not live on in the write-ahead log.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def page(self, after: str, limit: int) -> list[tuple[str, bytes]]:
        query = "SELECT subject, sealed FROM data_keys WHERE subject > ? ORDER BY subject LIMIT ?"
        return list(self._db.execute(query, (after, limit)))

    def close(self) -> None:
        self._db.close()


class KeyRing:
    """The data keys of subjects, opened. Safe to use from several worker threads."""

    def __init__(self, store: KeyStore, installation: bytes) -> None:
        self._store = store
        self._installation = installation
        self._lock = Lock()
        self._open: OrderedDict[str, bytes | None] = OrderedDict()

    def keys(self, subjects: set[str]) -> dict[str, bytes | None]:
        """The key of each subject, None where it was erased or never was."""
        with self._lock:
            self._load(subjects)
            found = {subject: self._open[subject] for subject in subjects}
            self._trim()
            return found

    def ensure(self, subjects: set[str]) -> dict[str, bytes]:
        """The key of each subject, made and stored durably where there is none yet."""
        with self._lock:
            self._load(subjects)
            fresh = {
                subject: seal(self._installation, os.urandom(KEY_BYTES), subject.encode())
                for subject in subjects
                if self._open[subject] is None
            }
            if fresh:
                self._remember(self._store.keep(fresh))
            found = {subject: self._open[subject] or b"" for subject in subjects}
            self._trim()
            return found

    def forget(self, subject: str) -> bool:
        """Delete a subject's key: what was sealed under it is gone. False if there was none."""
        with self._lock:
            self._open.pop(subject, None)
            return self._store.delete(subject)

    def let_go(self, subjects: Iterable[str]) -> None:
        """Keep these subjects' keys in memory no longer: somebody else may have deleted them."""
        with self._lock:
            for subject in subjects:
                self._open.pop(subject, None)

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def _load(self, subjects: set[str]) -> None:
        missing = {subject for subject in subjects if self._open.get(subject) is None}
        if missing:
            self._remember(self._store.fetch(missing))
        for subject in missing:
            self._open.setdefault(subject, None)

    def _remember(self, sealed: dict[str, bytes]) -> None:
        for subject, key in sealed.items():
            self._open[subject] = unseal(self._installation, key, subject.encode())

    def _trim(self) -> None:
        while len(self._open) > CACHED_KEYS:
            self._open.popitem(last=False)
