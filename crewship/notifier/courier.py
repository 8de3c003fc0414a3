"""Brings one endpoint what waits for it, a few at once, so that a slow endpoint holds up nobody but itself."""

import asyncio
import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from crewship import clock
from crewship.commands import deliveries, webhooks
from crewship.eventlog import Author, EventLog
from crewship.notifier.sending import Answer, Sender
from crewship.notifier.signing import headers
from crewship.views import Views
from domain.delivery import Delivery
from domain.errors import DomainError
from domain.webhook import Outgoing
from projections import runs as runs_view
from projections import webhooks as view
from projections.projection import Row, text

AT_ONCE = 4
LOOK_AHEAD = 100
VIEW_SECONDS = 10.0
PAUSE_SECONDS = 1.0
LONGEST_REST_SECONDS = 60.0
SPARE = timedelta(seconds=20)
JITTER = 0.2

logger = structlog.get_logger(__name__)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How patient deliveries are, in seconds. An endpoint is paused once so many attempts have failed in a row, the
    first of them so long ago."""

    answer_within: float = 10.0
    pauses: tuple[float, ...] = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600)
    most_failures: int = 8
    failing_for: float = 12 * 3600

    def pause(self, tries: int) -> float:
        """How long after so many failed tries the next one is due, give or take a fifth: not all at the same moment."""
        pause = self.pauses[min(tries, len(self.pauses)) - 1]
        return pause * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 nothing to guess


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What couriers work with; one for all of them. `slots` bounds how many attempts are under way at once."""

    log: EventLog
    views: Views
    sender: Sender
    slots: asyncio.Semaphore
    policy: Policy
    server_id: str
    epoch: int


class Courier:
    """The deliveries of one endpoint. What waits is what the views say; whether it goes out is decided on the log."""

    def __init__(self, parts: Parts, deployment_id: str, webhook_id: str) -> None:
        self._parts = parts
        self._deployment_id, self._webhook_id = deployment_id, webhook_id
        self._author = Author(by=f"server:{parts.server_id}", cause=webhook_id)
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.bell = asyncio.Event()

    async def run(self) -> None:
        """Until nothing waits any more."""
        while True:
            self.bell.clear()
            try:
                waiting = await self._waiting()
            except DomainError as refusal:
                logger.warning("deliveries wait", webhook_id=self._webhook_id, why=refusal.message)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            if not waiting and not self._under_way and not self.bell.is_set():
                return
            idle = [row for row in waiting if row["stream"] not in self._under_way]
            due = [row for row in idle if self._is_due(row)]
            for row in due[: AT_ONCE - len(self._under_way)]:
                self._start(row["stream"])
            await self._rest([row for row in idle if row not in due])

    async def finish(self, seconds: float) -> None:
        """Let what is under way end, at most so long, then let go of it: the next life takes it up."""
        tasks = list(self._under_way.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _waiting(self) -> list[dict[str, Any]]:
        """What is to go out, soonest first; of a paused endpoint the pings alone."""
        views, log = self._parts.views, self._parts.log
        await views.reached(max(log.head, log.appended), VIEW_SECONDS)
        webhook = (await webhooks.of(log, self._deployment_id)).by_id.get(self._webhook_id)
        if not isinstance(webhook, Outgoing):
            return []
        statement = view.WAITING_PINGS if webhook.paused else view.WAITING
        return await views.rows(statement, webhook_id=self._webhook_id, limit=LOOK_AHEAD)

    def _is_due(self, row: Row) -> bool:
        """Whether its time has come, or it was begun by this server in a former life, which cannot end it."""
        server_id, _, epoch = (row["held_by"] or "").partition("@")
        ours = server_id == self._parts.server_id and int(epoch) < self._parts.epoch
        return ours or datetime.fromisoformat(row["due_at"]) <= clock.now()

    async def _rest(self, later: list[dict[str, Any]]) -> None:
        """Until a bell rings or the next one is due; not for ever, since clocks are set now and then."""
        seconds = LONGEST_REST_SECONDS
        if later and len(self._under_way) < AT_ONCE:
            soonest = min(datetime.fromisoformat(row["due_at"]) for row in later)
            seconds = min(seconds, max(0.0, (soonest - clock.now()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self.bell.wait()
        except TimeoutError:
            return

    def _start(self, stream: str) -> None:
        task = asyncio.create_task(self._attempt(stream), name=f"delivery {stream}")
        self._under_way[stream] = task

        def done(_: "asyncio.Task[None]") -> None:
            self._under_way.pop(stream, None)
            self.bell.set()

        task.add_done_callback(done)

    async def _attempt(self, stream: str) -> None:
        """One attempt, on record before it is made and after. What goes wrong on our side is tried again soon."""
        parts = self._parts
        lasts = timedelta(seconds=parts.policy.answer_within) + SPARE
        try:
            async with parts.slots:
                taken = await deliveries.begin(parts.log, stream, parts.server_id, parts.epoch, lasts, self._author)
                if taken is not None:
                    await self._deliver(stream, *taken)
        except Exception:
            logger.exception("a delivery was not attempted; it is tried again", stream=stream)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _deliver(self, stream: str, delivery: Delivery, number: int) -> None:
        webhook = (await webhooks.of(self._parts.log, self._deployment_id)).by_id.get(self._webhook_id)
        if not isinstance(webhook, Outgoing):
            return
        answer = await self._sent(webhook, delivery)
        pause = self._parts.policy.pause(delivery.tries + 1)
        await deliveries.conclude(
            self._parts.log,
            stream,
            number,
            self._author,
            succeeded=answer.succeeded,
            duration_ms=answer.duration_ms,
            status_code=answer.status_code,
            error=answer.error,
            response=answer.response,
            retry_at=clock.now() + timedelta(seconds=pause),
        )
        if not answer.succeeded and (why := await self._given_up(answer)):
            logger.warning("a webhook keeps failing and was paused", webhook_id=self._webhook_id, why=why)
            await webhooks.pause(self._parts.log, self._deployment_id, self._webhook_id, why, self._author)

    async def _sent(self, webhook: Outgoing, delivery: Delivery) -> Answer:
        now = clock.now()
        secrets = webhook.secrets(now)
        if webhook.url is None or not secrets:
            return Answer(duration_ms=0, error="its address or secret was erased")
        body = await self._body(delivery)
        return await self._parts.sender.post(webhook.url, headers(secrets, delivery.id, delivery.kind, now, body), body)

    async def _body(self, delivery: Delivery) -> bytes:
        if delivery.run_id is None:
            data: Any = {"webhook_id": delivery.webhook_id, "deployment_id": delivery.deployment_id}
        else:
            row = await self._parts.views.row(runs_view.GET, id=delivery.run_id)
            data = runs_view.public(row) if row else {"id": delivery.run_id}
        created_at = text(delivery.created_at)
        return msgspec.json.encode({"id": delivery.id, "event": delivery.kind, "created_at": created_at, "data": data})

    async def _given_up(self, answer: Answer) -> str | None:
        """Why the endpoint is told nothing more for now, if it has failed long enough."""
        if answer.status_code == 410:
            return "it answered 410 Gone"
        log, views, policy = self._parts.log, self._parts.views, self._parts.policy
        await views.reached(log.appended, VIEW_SECONDS)
        webhook = await views.row(view.GET, deployment_id=self._deployment_id, id=self._webhook_id)
        success = await views.row(view.LAST_SUCCESS, webhook_id=self._webhook_id)
        since = max((success and success["at"]) or "", (webhook and webhook["resumed_at"]) or "")
        failed = await views.row(view.FAILURES_SINCE, webhook_id=self._webhook_id, since=since)
        if failed is None or failed["failures"] < policy.most_failures:
            return None
        failing = clock.now() - datetime.fromisoformat(failed["first_at"])
        if failing < timedelta(seconds=policy.failing_for):
            return None
        last = answer.error or f"answered {answer.status_code}"
        return f"{failed['failures']} attempts in a row have failed since {failed['first_at']}; the last: {last}"
