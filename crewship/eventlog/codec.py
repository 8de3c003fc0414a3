"""Events ⇄ stored bytes.

A stored state is one byte of format, four bytes with the length of the clear part (big-endian), the clear part (JSON:
who, when, why, and the event's readable fields), and the sealed part: the event's other fields as JSON under its
subject's data key, bound to the stream and the version, so that no sealed part fits anywhere else. An audit hashes
these bytes as they lie and needs no key.
"""

from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from eventsourcing.persistence import StoredEvent

from crewship.secrets import seal, unseal
from domain.catalog import BY_TAG
from domain.event import Event, Mark, Recorded, sealed_fields
from domain.upcasts import UPCASTS

FORMAT = b"\x01"
_LENGTH = slice(1, 5)
_PREFIX = 5


class UnknownEvent(Exception):
    """The log holds something that this code cannot read. It is never passed over in silence."""


class Author(msgspec.Struct, frozen=True):
    """Who makes a change: the actor, what caused it, the request it came with, and from where that came."""

    by: str
    cause: str | None = None
    request_id: str | None = None
    address: str | None = None


class _Clear(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    at: datetime
    by: str
    cause: str | None = None
    request_id: str | None = None
    address: str | None = None
    happened_at: datetime | None = None
    line: int | None = None
    data: msgspec.Raw


_encoder = msgspec.json.Encoder()
_clear_decoder = msgspec.json.Decoder(_Clear)


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)


def has_secrets(event: Event) -> bool:
    """Whether storing this event takes a data key."""
    return any(getattr(event, name) is not None for name in sealed_fields(type(event)))


def encode(
    event: Event, *, stream: str, version: int, at: datetime, author: Author, mark: Mark, key: bytes | None
) -> StoredEvent:
    """The event as it is stored; `key` is its subject's data key, needed where the event has secrets."""
    sealed = b""
    data: bytes
    if has_secrets(event):
        if key is None:
            raise ValueError(f"{event.tag()} has fields to seal and no key was given")
        hidden = sealed_fields(type(event))
        secrets = {name: value for name in hidden if (value := getattr(event, name)) is not None}
        clear = {name: getattr(event, name) for name in event.__struct_fields__ if name not in hidden}
        data = _encoder.encode(clear)
        sealed = seal(key, _encoder.encode(secrets), _place(stream, version))
    else:
        data = _encoder.encode(event)
    head = _encoder.encode(
        _Clear(
            at=at,
            by=author.by,
            cause=author.cause,
            request_id=author.request_id,
            address=author.address,
            happened_at=mark.happened_at,
            line=mark.line,
            data=msgspec.Raw(data),
        )
    )
    state = b"".join((FORMAT, len(head).to_bytes(4, "big"), head, sealed))
    return StoredEvent(originator_id=stream, originator_version=version, topic=event.tag(), state=state)


def decode(stored: StoredEvent, position: int, key: bytes | None) -> Recorded:
    """The event and its place; with its secrets where the key is there, without them and `erased` where it is gone."""
    stream, version = str(stored.originator_id), stored.originator_version
    if stored.state[:1] != FORMAT:
        raise UnknownEvent(f"position {position} is stored in a format that this Crewship does not know; upgrade it")
    end = _PREFIX + int.from_bytes(stored.state[_LENGTH], "big")
    head = _clear_decoder.decode(stored.state[_PREFIX:end])
    sealed = stored.state[end:]
    fields = bytes(head.data)
    if sealed and key is not None:
        fields = _joined(fields, unseal(key, sealed, _place(stream, version)))
    return Recorded(
        position=position,
        stream=stream,
        version=version,
        at=head.at,
        by=head.by,
        event=_event(stored.topic, fields, position),
        cause=head.cause,
        request_id=head.request_id,
        address=head.address,
        mark=Mark(happened_at=head.happened_at, line=head.line),
        erased=bool(sealed) and key is None,
    )


def needs_key(stored: StoredEvent) -> bool:
    """Whether a stored event has a sealed part."""
    return len(stored.state) > _PREFIX + int.from_bytes(stored.state[_LENGTH], "big")


def recorded_at(stored: StoredEvent) -> datetime:
    """When the event was recorded."""
    end = _PREFIX + int.from_bytes(stored.state[_LENGTH], "big")
    return _clear_decoder.decode(stored.state[_PREFIX:end]).at


def _event(tag: str, fields: bytes, position: int) -> Event:
    try:
        if tag in UPCASTS:
            tag, upcast = UPCASTS[tag](msgspec.json.decode(fields))
            return _converted(BY_TAG[tag], upcast)
        return _decoder(BY_TAG[tag]).decode(fields)
    except KeyError:
        raise UnknownEvent(
            f"position {position} holds {tag!r}, which this Crewship does not know; upgrade it"
        ) from None
    except msgspec.MsgspecError as error:
        raise UnknownEvent(f"position {position} holds a {tag!r} that does not fit: {error}") from error


def _converted(kind: type[Event], fields: dict[str, Any]) -> Event:
    return msgspec.convert(fields, kind)


def _joined(clear: bytes, secrets: bytes) -> bytes:
    """Two JSON objects as one."""
    if clear == b"{}":
        return secrets
    return b"".join((clear[:-1], b",", secrets[1:]))


def _place(stream: str, version: int) -> bytes:
    return f"{stream}@{version}".encode()
