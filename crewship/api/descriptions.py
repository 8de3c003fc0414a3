"""What each handler in the table of routes takes and gives: one line a route, in the table's order."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from crewship.api import (
    audit,
    changes,
    deployments,
    erasures,
    events,
    incoming,
    keys,
    log_shapes,
    metrics,
    retention,
    rows,
    runs,
    schedule_shapes,
    schedules,
    server,
    sessions,
    shapes,
    tables,
    threads,
    views,
    webhook_shapes,
    webhooks,
)
from crewship.api.bodies import (
    ChangeSchedule,
    ChangeWebhook,
    CopyThread,
    CreateDeployment,
    CreateKey,
    CreateRun,
    CreateSchedule,
    CreateTable,
    CreateThread,
    CreateWebhook,
    EditState,
    PatchTable,
    PatchThread,
    Promote,
    RerunRun,
    RollBack,
    RunThread,
    SetRetention,
    SetVariables,
    SignIn,
)
from crewship.api.describing import (
    BYTES,
    ENVIRONMENT,
    EVENT_STREAM,
    GZIP,
    HTML,
    PAGE,
    PLAIN,
    STREAM,
    About,
    choice,
    empties,
    flag,
    gives,
    text,
    whole,
)
from crewship.api.filters import LAST_POSITION
from crewship.api.middleware import Handler
from crewship.eventlog import Verified
from domain.row import MOST_AT_ONCE

NAME = text("name", "The deployment of that name alone.")
OF = text("deployment_id", "Of that deployment alone, by its id or name.")
OF_ONE = text("deployment_id", "The deployment, by its id or name.", required=True)
STATUS = choice("status", "In that status alone.", *runs.STATUSES)
IDLE_OR = choice("status", "In that status alone.", *threads.STATUSES)
IN_THREAD = text("thread_id", "Of that thread alone.")
TIMEOUT = whole("timeout", "How long to wait, in seconds.", 30, 0, runs.LONGEST_WAIT_SECONDS)
TOKEN = text("access_token", "A token for this stream, in place of a key.")
STEPS = flag("steps", "Every super-step, not only one checkpoint a run.")
NAMESPACE = text("ns", "The graph's namespace: empty for the graph itself, else a subgraph's; without it, all.")
THAT_ONE = text("checkpoint_id", "That checkpoint alone.")
BEFORE = text("before", "A checkpoint's id: those that are older than it.")
CHECKPOINT = text("checkpoint_id", "The checkpoint; else the newest.")
DIRECTION = choice("direction", "Those alone.", *webhooks.DIRECTIONS)
HOW = choice("status", "In that status alone.", *webhooks.STATUSES)
OF_RUN = text("run_id", "About that run alone.")
NAMED = text("name", "The table of that name alone.")
SORT = text("sort", "Columns with commas between, - before one for descending; or _meta.created_at, _meta.updated_at.")
BEHIND = whole("after", "Go on behind that row: `next_after` of the page before.", 0, 0, LAST_POSITION)
ROW_OR_ROWS = dict[str, Any] | Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]
NEXT = whole("next", "How many of its next times to show.", 1, 0, schedules.MOST_NEXT)
OF_SCHEDULE = text("schedule_id", "Of that schedule alone.")
NO_MORE = ((204, None),)
OF_A_FILE = ((206, BYTES), (304, None), (412, None), (416, shapes.Error))
HARMLESS = "Open to everybody: it tells nothing about anybody."
THE_TOKEN = "No key: the token in the path is the secret."  # noqa: S105 said about one
WITH_A_KEY = "The key is in the body; the answer sets a cookie, which later requests carry in the key's place."
PREVIEW = flag("preview", "To be shown in a frame: still of no origin, with no script.")
AS_THE_CODE = "Open to everybody, as the code is."

AFTER = whole("after", "Behind that position of the log.", 0, 0, audit.MOST_POSITION)
PINNED = text("head", "What `crewship audit head` printed once.")
OF_LOG = (
    AFTER,
    whole("limit", "How many at most.", audit.DEFAULT_LIMIT, 1, audit.MOST_LIMIT),
    text("types", "Stored as one of these alone, with commas between."),
    text("stream", "Of that stream alone, like run_abc123."),
    text("by", "By that actor alone, like key:key_abc123."),
    text("since", "Recorded at that time or later."),
    text("until", "Recorded before that time."),
    text("last_event_id", "In a stream: go on right behind that event; as the header Last-Event-ID."),
)

ABOUT: Mapping[Handler, About] = {
    server.alive: gives(shapes.Health, open=HARMLESS),
    server.ready: gives(shapes.Readiness, open=HARMLESS),
    server.openapi: gives(dict, open=AS_THE_CODE),
    server.docs: gives(HTML, open=AS_THE_CODE),
    metrics.metrics: gives(PLAIN, optional=True),
    sessions.create: gives(shapes.Session, takes=SignIn, status=201, open=WITH_A_KEY, signs_in=True),
    sessions.get: gives(shapes.Session),
    sessions.delete: empties(),
    changes.stream: gives(EVENT_STREAM),
    deployments.create: gives(shapes.Deployment, takes=CreateDeployment, status=201, creates=True),
    deployments.listing: gives(shapes.Deployments, query=(NAME, *PAGE)),
    deployments.get: gives(shapes.Deployment),
    deployments.delete: empties(),
    deployments.upload: gives(shapes.VersionBegun, takes=GZIP, status=202, query=(ENVIRONMENT,), creates=True),
    deployments.versions: gives(shapes.Versions, query=PAGE),
    deployments.roll_back: gives(shapes.Version, takes=RollBack),
    deployments.promote: gives(shapes.Version, takes=Promote),
    deployments.variables: gives(shapes.Variables),
    deployments.set_variables: gives(shapes.Variables, takes=SetVariables),
    deployments.unset_variable: empties(),
    deployments.version: gives(shapes.Version),
    events.version_events: gives(EVENT_STREAM, query=STREAM, also=NO_MORE),
    runs.create: gives(shapes.RunAccepted, takes=CreateRun, status=202, creates=True),
    runs.listing: gives(shapes.Runs, query=(OF, IN_THREAD, OF_SCHEDULE, STATUS, ENVIRONMENT, *PAGE)),
    runs.get: gives(shapes.Run),
    runs.wait: gives(shapes.Run, query=(TIMEOUT,)),
    runs.cancel: gives(shapes.Canceled, also=((202, shapes.Canceled),)),
    runs.rerun: gives(shapes.RerunAccepted, takes=RerunRun, status=202, creates=True),
    events.run_events: gives(EVENT_STREAM, query=(*STREAM, TOKEN), also=NO_MORE),
    events.stream_token: gives(shapes.StreamToken, status=201),
    erasures.erase_run: gives(shapes.Erasure, also=((202, shapes.Erasure),)),
    runs.artifacts: gives(shapes.Artifacts),
    runs.artifact: gives(BYTES, query=(PREVIEW,), also=OF_A_FILE),
    threads.create: gives(shapes.Thread, takes=CreateThread, status=201, creates=True),
    threads.listing: gives(shapes.Threads, query=(OF_ONE, IDLE_OR, *PAGE)),
    threads.get: gives(shapes.Thread),
    threads.patch: gives(shapes.Thread, takes=PatchThread),
    threads.delete: empties(),
    threads.copy: gives(shapes.Thread, takes=CopyThread, status=201, creates=True),
    threads.run: gives(shapes.ThreadRunAccepted, takes=RunThread, status=202, creates=True),
    threads.history: gives(shapes.Checkpoints, query=(STEPS, *PAGE)),
    threads.checkpoints: gives(shapes.SavedCheckpoints, query=(NAMESPACE, THAT_ONE, BEFORE, PAGE[0])),
    threads.state: gives(shapes.Checkpoint, query=(CHECKPOINT,)),
    threads.edit: gives(shapes.Checkpoint, takes=EditState, also=((202, shapes.ThreadRunAccepted),)),
    erasures.erase_thread: gives(shapes.Erasure, also=((202, shapes.Erasure),)),
    retention.get: gives(shapes.Retention, may_lack=True),
    retention.put: gives(shapes.Retention, takes=SetRetention),
    retention.delete: empties(may_lack=True),
    retention.get_own: gives(shapes.Retention),
    retention.put_own: gives(shapes.Retention, takes=SetRetention),
    retention.delete_own: empties(),
    webhooks.create: gives(webhook_shapes.NewWebhook, takes=CreateWebhook, status=201, creates=True),
    webhooks.listing: gives(webhook_shapes.Webhooks, query=(DIRECTION, *PAGE)),
    webhooks.get: gives(webhook_shapes.Webhook),
    webhooks.change: gives(webhook_shapes.Webhook, takes=ChangeWebhook),
    webhooks.delete: empties(),
    webhooks.rotate: gives(webhook_shapes.NewWebhook),
    webhooks.resume: gives(webhook_shapes.Webhook),
    webhooks.test: gives(webhook_shapes.Delivery),
    webhooks.deliveries: gives(webhook_shapes.Deliveries, query=(HOW, OF_RUN, *PAGE)),
    webhooks.delivery: gives(webhook_shapes.Delivery),
    webhooks.redeliver: gives(webhook_shapes.Delivery, status=202),
    schedules.create: gives(schedule_shapes.Schedule, takes=CreateSchedule, status=201, creates=True),
    schedules.listing: gives(schedule_shapes.Schedules, query=PAGE),
    schedules.get: gives(schedule_shapes.Schedule, query=(NEXT,)),
    schedules.change: gives(schedule_shapes.Schedule, takes=ChangeSchedule),
    schedules.delete: empties(),
    schedules.pause: gives(schedule_shapes.Schedule),
    schedules.resume: gives(schedule_shapes.Schedule),
    schedules.history: gives(schedule_shapes.Ticks, query=PAGE),
    incoming.start_run: gives(
        shapes.RunAccepted,
        takes=webhook_shapes.Input,
        status=202,
        creates=True,
        open=THE_TOKEN,
        also=((403, shapes.Error),),
    ),
    audit.listing: gives(log_shapes.LogPage, query=OF_LOG),
    audit.head: gives(log_shapes.AuditHead),
    audit.seal: gives(log_shapes.AuditHead),
    audit.verification: gives(Verified, query=(AFTER, PINNED)),
    tables.create: gives(shapes.Table, takes=CreateTable, status=201, creates=True),
    tables.listing: gives(shapes.Tables, query=(OF, NAMED, *PAGE)),
    tables.get: gives(shapes.Table),
    tables.patch: gives(shapes.Table, takes=PatchTable, also=((202, shapes.Table),)),
    tables.delete: empties(),
    rows.create: gives(shapes.NewRows, takes=ROW_OR_ROWS, status=201, creates=True),
    rows.listing: gives(shapes.TableRows, query=(SORT, BEHIND, *PAGE)),
    rows.get: gives(shapes.TableRow),
    rows.patch: gives(shapes.TableRow, takes=dict[str, Any]),
    rows.delete: empties(),
    keys.create: gives(shapes.NewKey, takes=CreateKey, status=201, creates=True),
    views.get: gives(log_shapes.Views),
    views.rebuild: gives(log_shapes.Views, status=202),
    keys.listing: gives(shapes.Keys, query=PAGE),
    keys.revoke: empties(),
}
