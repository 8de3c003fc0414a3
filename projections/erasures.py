"""What is to be forgotten, whether it is gone yet, and who else names a blob."""

from collections.abc import Iterator

import sqlalchemy as sa

from domain.erasure import DataDestroyed, RunErased, ThreadErased
from domain.event import Event, Recorded
from domain.output import AgentCompleted, ArtifactCollected, Stored, ToolCalled, ToolReturned
from domain.run import RunRequested, RunSucceeded
from domain.thread import CheckpointSaved, StateSet, WritesSaved
from domain.version import VersionCreated
from projections.projection import METADATA, Projection, Write, text, upsert

ERASURES = sa.Table(
    "erasures",
    METADATA,
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("asked_at", sa.Text, nullable=False),
    sa.Column("destroyed_at", sa.Text),
    sa.Index("erasures_by_state", "destroyed_at", "position"),
)
REFERENCES = sa.Table(
    "blob_references",
    METADATA,
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True, index=True),
    sa.Column("at", sa.Text, nullable=False),
)

ASK = upsert(ERASURES)
SETTLE = (
    sa.update(ERASURES)
    .where(ERASURES.c.subject == sa.bindparam("whose"))
    .values(destroyed_at=sa.bindparam("destroyed"))
)
NAME = upsert(REFERENCES)
UNNAME = sa.delete(REFERENCES).where(REFERENCES.c.subject == sa.bindparam("whose"))

GET = sa.select(ERASURES).where(ERASURES.c.subject == sa.bindparam("subject"))
UNSETTLED = sa.select(ERASURES.c.subject).where(ERASURES.c.destroyed_at.is_(None)).order_by(ERASURES.c.position)
BLOBS_OF = sa.select(REFERENCES).where(REFERENCES.c.subject == sa.bindparam("subject"))
OTHERS = (
    sa.select(REFERENCES.c.subject)
    .where(
        REFERENCES.c.sha256 == sa.bindparam("sha256"),
        REFERENCES.c.subject != sa.bindparam("subject"),
        ~sa.exists().where(ERASURES.c.subject == REFERENCES.c.subject),
    )
    .limit(1)
)


def project(recorded: Recorded) -> Iterator[Write]:
    """What an event changes about erasures, and which blobs it names."""
    match recorded.event:
        case RunErased(run_id=subject, why=why) | ThreadErased(thread_id=subject, why=why):
            asked = {"subject": subject, "position": recorded.position, "why": why, "asked_at": text(recorded.at)}
            yield Write(ASK, {**asked, "destroyed_at": None})
        case DataDestroyed(subject=subject):
            yield Write(SETTLE, {"whose": subject, "destroyed": text(recorded.at)})
            yield Write(UNNAME, {"whose": subject})
        case event:
            whose = recorded.stream.partition(":")[0]
            for sha256 in dict.fromkeys(_blobs(event)):
                yield Write(NAME, {"sha256": sha256, "subject": whose, "at": text(recorded.at)})


def _blobs(event: Event) -> Iterator[str]:
    """The blobs that an event names."""
    stored: Stored | None = None
    match event:
        case RunRequested(stored_input=stored) | RunSucceeded(stored_result=stored):
            pass
        case AgentCompleted(stored=stored) | ToolCalled(stored=stored) | ToolReturned(stored=stored):
            pass
        case StateSet(stored_values=stored):
            pass
        case CheckpointSaved(sha256=sha256, channels=channels, stored_values=stored):
            yield sha256
            yield from (channel.sha256 for channel in channels.values())
        case WritesSaved(sha256=sha256) | ArtifactCollected(sha256=sha256):
            yield sha256
        case VersionCreated(source_sha256=sha256):
            yield sha256
    if stored is not None:
        yield stored.sha256


ERASURES_VIEW = Projection("erasures", 1, (ERASURES, REFERENCES), project)
