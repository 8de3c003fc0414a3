"""A whole installation into one file, and from there into an empty place, on SQLite or PostgreSQL.

Positions, ids and stored bytes stay, so event ids, seals and pinned heads stay valid. A running server may be exported:
the log only grows, and whatever an event needs (its key, its blobs) was there before it.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec

from crewship import clock
from crewship.config import Settings
from crewship.datafolder import DataFolder
from crewship.eventlog import StoredRow, fill_log, key_store, stored_log, verify
from crewship.operations.archive import CHUNK, Member, Writer, check, members
from crewship.secrets import KEY_BYTES, KeyStore
from domain.errors import BadRequest, Conflict, Unavailable

FORMAT = 1
ROWS_A_PIECE = 500
BYTES_A_PIECE = 8 * 1024 * 1024
TRUTH = ("log.db", "keys.db", "installation.key", "blobs")
"""What an installation is, as far as it lies in the data folder; `server.json` says which server it was."""
_BLOB = re.compile(r"blobs/[0-9a-f]{2}/([0-9a-f]{64})")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is."""

    format: int
    made_at: str
    head: int
    with_key: bool


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was written or read. `head` is the last position; `findings` what the seals say of the log's rows."""

    head: int
    events: int
    keys: int
    blobs: int
    with_key: bool
    findings: list[str] = []


def export(settings: Settings, target: Path, *, with_key: bool) -> Moved:
    """Write everything to a file for its owner alone. Raises BadRequest, Unavailable."""
    key_file = settings.data / "installation.key"
    if not key_file.exists():
        raise Unavailable(f"There is no installation.key in {settings.data}: name the data folder with --data")
    with stored_log(settings.data, settings.postgres) as recorder, Writer(target) as archive:
        head = recorder.max_notification_id() or 0
        manifest = Manifest(format=FORMAT, made_at=clock.iso(clock.now()), head=head, with_key=with_key)
        archive.add("manifest.json", msgspec.json.encode(manifest))
        if with_key:
            archive.add("installation.key", key_file.read_bytes())
        if (settings.data / "server.json").exists():
            archive.add("server.json", (settings.data / "server.json").read_bytes())
        store = key_store(settings.data, settings.postgres)
        try:
            keys = _export_keys(archive, store)
        finally:
            store.close()
        blobs = _export_blobs(archive, settings.data / "blobs")
        events = after = 0
        while rows := recorder.select_notifications(after, ROWS_A_PIECE, head, inclusive_of_start=False):
            for piece in _pieces(rows):
                events += len(piece)
                archive.add(f"log/{events:012d}.msgpack", msgspec.msgpack.encode(piece))
            after = rows[-1].id
    return Moved(head=head, events=events, keys=keys, blobs=blobs, with_key=with_key)


def _pieces(rows: Iterable[StoredRow]) -> Iterator[list[tuple[int, str, int, str, bytes]]]:
    piece: list[tuple[int, str, int, str, bytes]] = []
    size = 0
    for row in rows:
        piece.append((row.id, str(row.originator_id), row.originator_version, row.topic, row.state))
        size += len(row.state)
        if size > BYTES_A_PIECE:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _export_keys(archive: Writer, store: KeyStore) -> int:
    count, after = 0, ""
    while piece := store.page(after, ROWS_A_PIECE):
        count += len(piece)
        archive.add(f"keys/{count:012d}.msgpack", msgspec.msgpack.encode(piece))
        after = piece[-1][0]
    return count


def _export_blobs(archive: Writer, folder: Path) -> int:
    count = 0
    for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # forgotten meanwhile
        with file:
            archive.add_file(f"blobs/{path.parent.name}/{path.name}", file, os.fstat(file.fileno()).st_size)
        count += 1
    return count


def bring_in(settings: Settings, source: Path, key: bytes | None) -> Moved:
    """Make an installation from an archive where there is none; what a failure left is cleared away.

    `key` is the installation's, for an archive without it. Raises BadRequest, Conflict, Unavailable.
    """
    check(source)
    _refuse_what_is_there(settings)
    folder = DataFolder.claim(settings.data)
    try:
        moved = _bring_in(settings, source, key)
    except BaseException:
        for name in (*TRUTH, "server.json"):
            _delete(settings.data / name)
        raise
    finally:
        folder.release()
    return moved


def _bring_in(settings: Settings, source: Path, key: bytes | None) -> Moved:
    coming = members(source)
    manifest = _manifest(next(coming, None), source)
    first = _bring_files(coming, settings.data, manifest, key)
    count = {"keys": 0, "blobs": 0, "events": 0}
    store = key_store(settings.data, settings.postgres)
    try:
        for member in first:
            if member.name.startswith("keys/"):
                piece = msgspec.msgpack.decode(member.whole(), type=list[tuple[str, bytes]])
                store.keep(dict(piece))
                count["keys"] += len(piece)
            elif blob := _BLOB.fullmatch(member.name):
                _bring_blob(member, settings.data / member.name, blob[1])
                count["blobs"] += 1
            elif member.name.startswith("log/"):
                rows = _rows(chain([member], first), count)
                fill_log(settings.data, settings.postgres, rows)
            else:
                raise BadRequest(f"{source} holds {member.name[:80]!r}, which none of our archives does")
    finally:
        store.close()
    findings: list[str] = []
    with stored_log(settings.data, settings.postgres, make=True) as recorder:
        after: int | None = 0
        while after is not None:
            piece_of_log = verify(recorder, after)
            findings += [finding.message for finding in piece_of_log.findings]
            after = piece_of_log.next_after
    return Moved(head=manifest.head, with_key=manifest.with_key, findings=findings, **count)


def _bring_files(coming: Iterator[Member], data: Path, manifest: Manifest, key: bytes | None) -> Iterator[Member]:
    """Lay down the key and the server's name; gives back what comes behind them."""
    for member in coming:
        if member.name == "installation.key":
            key = member.whole()
        elif member.name == "server.json":
            (data / "server.json").write_bytes(member.whole())
        else:
            coming = chain([member], coming)
            break
    if key is None or len(key) != KEY_BYTES:
        raise BadRequest("The archive does not hold the installation's key: name the file that does with --key")
    descriptor = os.open(data / "installation.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        os.fsync(file.fileno())
    (data / "blobs").mkdir()
    return coming


def _bring_blob(member: Member, target: Path, sha256: str) -> None:
    target.parent.mkdir(exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while chunk := member.file.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != sha256:
        raise BadRequest(f"{member.name} in the archive is not what its name says")


def _rows(coming: Iterable[Member], count: dict[str, int]) -> Iterator[tuple[int, str, int, str, bytes]]:
    for member in coming:
        if not member.name.startswith("log/"):
            raise BadRequest(f"{member.name[:80]!r} in the archive is not in its place")
        piece = msgspec.msgpack.decode(member.whole(), type=list[tuple[int, str, int, str, bytes]])
        count["events"] += len(piece)
        yield from piece


def _manifest(member: Member | None, source: Path) -> Manifest:
    try:
        if member is None or member.name != "manifest.json":
            raise BadRequest(f"{source} is not an archive of Crewship")
        manifest = msgspec.json.decode(member.whole(), type=Manifest)
    except msgspec.MsgspecError as fault:
        raise BadRequest(f"{source} is not an archive of Crewship: {fault}") from None
    if manifest.format != FORMAT:
        raise BadRequest(f"{source} was written by a newer Crewship; upgrade this one")
    return manifest


def _refuse_what_is_there(settings: Settings) -> None:
    for name in TRUTH:
        path = settings.data / name
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise Conflict(f"There is an installation in {settings.data} already ({name}); import into an empty folder")
    if settings.postgres:
        with stored_log(settings.data, settings.postgres, make=True) as recorder:
            if recorder.max_notification_id():
                raise Conflict("There is a log in that database already; import into an empty one")


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    for end in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{end}").unlink(missing_ok=True)
