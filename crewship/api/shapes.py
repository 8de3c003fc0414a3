"""What the API answers with, as structs: read by /openapi.json, and held against real answers by the tests.

Answers themselves are made by the projections' `public` functions and by commands.
"""

from typing import Any, Literal

import msgspec

from domain.access import Scope
from domain.column import ColumnType
from domain.deployment import Environment

Code = Literal[
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "too_large",
    "rate_limited",
    "unavailable",
    "internal",
]
RunStatus = Literal["pending", "running", "succeeded", "failed", "canceled"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]


class Problem(msgspec.Struct, kw_only=True):
    """What is wrong. `message` names the field or thing at fault; more fields may stand beside it."""

    message: str
    code: Code
    request_id: str


class Error(msgspec.Struct):
    """The answer to a request that was not carried out."""

    error: Problem


class Health(msgspec.Struct):
    """The process serves."""

    status: Literal["ok"]


class Readiness(msgspec.Struct):
    """The server takes work; `position` is the newest event of its log."""

    status: Literal["ready"]
    position: int


class Live(msgspec.Struct):
    """The version that is live in an environment."""

    version_id: str
    version_number: int


class Environments(msgspec.Struct):
    """What is live where."""

    production: Live | None
    staging: Live | None


class Deployment(msgspec.Struct, kw_only=True):
    """The stable home of one agent project."""

    id: str
    name: str
    framework: str | None
    environments: Environments
    created_at: str
    updated_at: str


class Deployments(msgspec.Struct):
    """Deployments, newest first."""

    deployments: list[Deployment]


class Column(msgspec.Struct, kw_only=True):
    """A column of a table."""

    name: str
    type: ColumnType
    required: bool


class Erasure(msgspec.Struct, kw_only=True):
    """What was erased. `runs` is of how many runs, `destroyed_at` when nothing of it was left."""

    id: str
    erased: bool
    runs: int
    requested_at: str | None
    destroyed_at: str | None


class Retention(msgspec.Struct, kw_only=True):
    """How long what ended runs hold is kept; null sets no bound."""

    deployment_id: str | None
    older_than_seconds: int | None
    keep: int | None


class Table(msgspec.Struct, kw_only=True):
    """Rows of typed columns. `pending_columns` were asked for; its rows are being looked at."""

    id: str
    name: str
    description: str | None
    deployment_id: str | None
    columns: list[Column]
    pending_columns: list[Column] | None
    row_count: int
    created_at: str
    updated_at: str


class Tables(msgspec.Struct):
    """Tables, newest first."""

    tables: list[Table]


class RowMeta(msgspec.Struct, kw_only=True):
    """Who wrote a row, and when: `api:<key name>`, `run:<run id>` or `console:<user>`."""

    created_at: str
    created_by: str
    updated_at: str
    updated_by: str


class TableRow(msgspec.Struct, kw_only=True, rename={"meta": "_meta"}):
    """A row; the table's columns stand beside these fields."""

    id: str
    meta: RowMeta


class TableRows(msgspec.Struct):
    """Rows. `next_after`, if there may be more in the order of creation, is the next page's `after`."""

    rows: list[TableRow]
    next_after: int | None


class NewRows(msgspec.Struct):
    """The rows that were kept, in the order in which they came. For a row that came alone the answer is that row."""

    rows: list[TableRow]


class Version(msgspec.Struct, kw_only=True):
    """An immutable snapshot of a project, and what was built from it."""

    id: str
    deployment_id: str
    version_number: int
    status: Literal["building", "ready", "failed"]
    environments: list[Environment]
    framework: str | None
    entrypoint: str | None
    chat: dict[str, Any] | None
    manifest: dict[str, Any] | None
    source_sha256: str
    error_message: str | None
    created_at: str
    built_at: str | None


class Session(msgspec.Struct, kw_only=True):
    """Who is signed in, and what they may do."""

    name: str
    actor: str
    scopes: list[Scope]
    expires_at: str | msgspec.UnsetType = msgspec.UNSET


class Versions(msgspec.Struct):
    """Versions, newest first."""

    versions: list[Version]


class VersionBegun(msgspec.Struct, kw_only=True):
    """A version that is being built; GET /v1/versions/{version_id}/events shows how."""

    version_id: str
    version_number: int
    status: Literal["building"]


class Variable(msgspec.Struct, kw_only=True):
    """An environment variable: never its value."""

    name: str
    created_at: str
    updated_at: str


class Variables(msgspec.Struct):
    """A deployment's environment variables."""

    variables: list[Variable]


class Run(msgspec.Struct, kw_only=True):
    """One isolated execution of a version. In lists a large `input` or `output` is cut."""

    id: str
    deployment_id: str
    version_id: str
    version_number: int
    thread_id: str | None
    rerun_of: str | None
    schedule_id: str | None
    environment: Environment
    status: RunStatus
    attempt: int
    input: dict[str, Any] | None
    output: Any
    error_message: str | None
    reason: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    duration_ms: int | None
    erased: bool = False


class Runs(msgspec.Struct):
    """Runs, newest first."""

    runs: list[Run]


class RunAccepted(msgspec.Struct, kw_only=True):
    """A run that will be."""

    run_id: str
    version_id: str
    version_number: int
    status: RunStatus


class RerunAccepted(RunAccepted, kw_only=True):
    """A run that will be, like another one."""

    rerun_of: str
    thread_id: str | None


class ThreadRunAccepted(RunAccepted, kw_only=True):
    """A run of a thread that will be."""

    thread_id: str


class Canceled(msgspec.Struct, kw_only=True):
    """The run has stopped, or (202) was asked to."""

    success: bool
    status: RunStatus
    message: str = ""


class StreamToken(msgspec.Struct, kw_only=True):
    """Opens one run's stream, as ?access_token=."""

    token: str
    run_id: str
    expires_at: str


class Artifact(msgspec.Struct, kw_only=True):
    """A file that a run left under /app/artifacts/."""

    name: str
    size: int
    content_type: str
    sha256: str
    created_at: str


class Artifacts(msgspec.Struct):
    """A run's artifacts, by name."""

    artifacts: list[Artifact]


class LastRun(msgspec.Struct):
    """How the last run in a thread ended."""

    run_id: str
    succeeded: bool


class Thread(msgspec.Struct, kw_only=True):
    """A conversation that remembers. Large `values` are cut; GET …/state has them whole."""

    thread_id: str
    deployment_id: str
    status: ThreadStatus
    metadata: dict[str, Any] | None
    values: dict[str, Any] | None
    interrupts: list[Any] | None
    running_run_id: str | None
    last_run: LastRun | None
    created_at: str
    updated_at: str
    erased: bool = False


class Threads(msgspec.Struct):
    """Threads, newest first."""

    threads: list[Thread]


class Checkpoint(msgspec.Struct, kw_only=True):
    """What a thread remembered at one moment."""

    checkpoint_id: str
    run_id: str | None
    parent_id: str | None
    source: str
    values: dict[str, Any] | None
    created_at: str
    erased: bool = False


class Checkpoints(msgspec.Struct):
    """Checkpoints, newest first."""

    checkpoints: list[Checkpoint]


class SavedCheckpoint(msgspec.Struct, kw_only=True):
    """A checkpoint of a thread's graph, in the project's own bytes (base64), with its channels and pending writes."""

    ns: str
    checkpoint_id: str
    parent_id: str | None
    data: str
    channels: dict[str, Any]
    writes: list[Any]


class SavedCheckpoints(msgspec.Struct):
    """Checkpoints, the latest first, and whether there are older ones behind the last of them."""

    checkpoints: list[SavedCheckpoint]
    more: bool


class Key(msgspec.Struct, kw_only=True):
    """An API key, without what it opens with. Bound to no deployment it reaches all of them."""

    id: str
    name: str
    scopes: list[Scope]
    deployment_ids: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class NewKey(Key, kw_only=True):
    """An API key, this once with `key`: what to send as Authorization: Bearer."""

    key: str


class Keys(msgspec.Struct):
    """API keys, newest first."""

    api_keys: list[Key]
