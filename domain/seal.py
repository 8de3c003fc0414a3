"""Seals: what makes a later change of the log show.

A seal covers a range of positions. Its root is a hash over the root of the seal before and over every stored event of
the range, as its bytes lie; so a root stands for the whole log up to there, and pinned somewhere else it binds even
whoever could write all seals anew. The short hashes beside it name the event at fault.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from domain.event import Event

STREAM = "log:seals"
NO_ROOT = "0" * 64
SHORT = 8
MOST_EVENTS = 2_000
"""Events under one seal, at most."""


class LogSealed(Event, tag="log.sealed", frozen=True, kw_only=True):
    """The events from position `first` to `last` were sealed.

    `leaves` holds for each of them, in order, how far its position lies behind the one before (a varint) and the first
    eight bytes of its hash. `root` and `previous` are SHA-256 in hex.
    """

    first: int
    last: int
    count: int
    leaves: bytes
    root: str
    previous: str


class Head(NamedTuple):
    """The end of the chain: everything up to position `last` is sealed under `root`."""

    last: int = 0
    root: str = NO_ROOT

    def __str__(self) -> str:
        return f"{self.last}:{self.root}"


class Leaf(NamedTuple):
    """A stored event as a seal sees it."""

    position: int
    digest: bytes


Difference = Literal["changed", "removed", "inserted"]


def leaf(position: int, stream: str, version: int, tag: str, state: bytes) -> Leaf:
    """The hash of a stored event: its place, its tag and its bytes."""
    name, kind = stream.encode(), tag.encode()
    # Sizes beforehand, so that no byte can move from one part into another.
    sizes = struct.pack(">qqII", position, version, len(name), len(kind))
    return Leaf(position, hashlib.sha256(b"".join((sizes, name, kind, state))).digest())


def root_over(previous: str, digests: Iterable[bytes]) -> str:
    """The root of a range that follows on from `previous`."""
    total = hashlib.sha256(bytes.fromhex(previous))
    for digest in digests:
        total.update(digest)
    return total.hexdigest()


def seal(head: Head, leaves: list[Leaf]) -> LogSealed:
    """The seal over the events behind the head; there must be some."""
    packed = bytearray()
    before = head.last
    for position, digest in leaves:
        _put_varint(packed, position - before)
        packed += digest[:SHORT]
        before = position
    return LogSealed(
        first=head.last + 1,
        last=before,
        count=len(leaves),
        leaves=bytes(packed),
        root=root_over(head.root, (digest for _, digest in leaves)),
        previous=head.root,
    )


def head_of(sealed: LogSealed) -> Head:
    """Where the chain stands after a seal."""
    return Head(sealed.last, sealed.root)


def differences(sealed: LogSealed, leaves: list[Leaf]) -> list[tuple[int, Difference]]:
    """Which events of the range are not as they were sealed, by position."""
    were = dict(_unpacked(sealed))
    are = {position: digest[:SHORT] for position, digest in leaves}
    found: list[tuple[int, Difference]] = []
    for position in sorted(were.keys() | are.keys()):
        if position not in are:
            found.append((position, "removed"))
        elif position not in were:
            found.append((position, "inserted"))
        elif were[position] != are[position]:
            found.append((position, "changed"))
    return found


def read_head(text: str) -> Head | None:
    """The head that was written down as `POSITION:ROOT`; None if that is none."""
    last, _, root = text.strip().partition(":")
    if not (last.isascii() and last.isdigit() and len(last) <= 18 and len(root) == len(NO_ROOT)):
        return None
    if not set(root) <= set("0123456789abcdef"):
        return None
    return Head(int(last), root)


def _unpacked(sealed: LogSealed) -> Iterator[tuple[int, bytes]]:
    """Positions and short hashes; what was tampered with gives what it gives, without an error."""
    packed, at, position = sealed.leaves, 0, sealed.first - 1
    while at < len(packed):
        step, at = _take_varint(packed, at)
        position += step
        yield position, packed[at : at + SHORT]
        at += SHORT


def _put_varint(packed: bytearray, number: int) -> None:
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)


def _take_varint(packed: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(packed):
        byte = packed[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return number, at


def evolve(_: Head | None, event: LogSealed) -> Head:
    """The chain's head after the event."""
    return head_of(event)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is not as it was sealed. What was removed can be named by its position alone."""

    position: int
    what: Literal["changed", "removed", "inserted", "unproved", "head"]
    message: str
    stream: str | None = None
    version: int | None = None
    type: str | None = None
