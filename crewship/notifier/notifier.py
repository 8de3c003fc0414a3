"""Follows the log for runs that end, asks for their deliveries, and gives each endpoint that has some a courier."""

import asyncio

import structlog

from crewship.commands import deliveries
from crewship.eventlog import Author, Change, StreamMoved
from crewship.eventlog.following import follow
from crewship.notifier.courier import Courier, Parts
from domain import delivery as rules
from domain import run as run_rules
from domain.delivery import DeliveryRequested, DeliveryRequeued, NotifierAdvanced
from domain.event import Recorded
from domain.run import RunCanceled, RunFailed, RunSucceeded
from domain.webhook import Notice, WebhookChanged, WebhookResumed
from projections import webhooks as view

CATCH_UP_SECONDS = 60.0
NOTE_EVERY = 5_000
FINISH_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class Notifier:
    """What ends is asked to be told in the order of the log; how far that got is noted there now and then.

    What is read again after a crash asks for nothing twice: a delivery's stream is named after what it tells to whom.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._author = Author(by=f"server:{parts.server_id}")
        self._couriers: dict[str, tuple[Courier, asyncio.Task[None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._noted = 0

    async def open(self) -> None:
        """Take up what waited in a former life, and follow the log from where that one had got to."""
        await self._parts.sender.open()
        advanced, _ = await self._parts.log.load(rules.PROGRESS, rules.progress)
        self._noted = advanced or 0
        await self._parts.views.reached(self._parts.log.head, CATCH_UP_SECONDS)
        for row in await self._parts.views.rows(view.AWAITED):
            self._ring(row["deployment_id"], row["webhook_id"])
        self._task = asyncio.create_task(follow(self._parts.log, self._noted, self._notice), name="notifier")

    async def close(self) -> None:
        """Begin nothing more, and give what is under way a moment."""
        couriers = list(self._couriers.values())
        tasks = [task for _, task in couriers] + ([self._task] if self._task else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(courier.finish(FINISH_SECONDS) for courier, _ in couriers))
        await self._parts.sender.close()

    @property
    def healthy(self) -> bool:
        """Whether ends of runs are being noticed."""
        return self._task is not None and not self._task.done()

    async def _notice(self, events: list[Recorded]) -> None:
        for recorded in events:
            match recorded.event:
                case RunSucceeded(run_id=run_id):
                    await self._tell(recorded, run_id, "run.succeeded")
                case RunFailed(run_id=run_id):
                    await self._tell(recorded, run_id, "run.failed")
                case RunCanceled(run_id=run_id):
                    await self._tell(recorded, run_id, "run.canceled")
                case DeliveryRequested(deployment_id=deployment_id, webhook_id=webhook_id):
                    self._ring(deployment_id, webhook_id)
                case DeliveryRequeued():
                    deployment_id, _, webhook_id, _ = recorded.stream.split(":")
                    self._ring(deployment_id, webhook_id)
                case WebhookResumed(webhook_id=webhook_id) | WebhookChanged(webhook_id=webhook_id):
                    self._ring(recorded.stream.partition(":")[0], webhook_id)
        await self._note(events[-1].position)

    async def _tell(self, recorded: Recorded, run_id: str, notice: Notice) -> None:
        run, _ = await self._parts.log.load(run_id, run_rules.evolve)
        if run is not None and run.kind == "run":
            await deliveries.tell(self._parts.log, run.deployment_id, run_id, notice, recorded.at, self._author)

    async def _note(self, position: int) -> None:
        """Note how far the log was read, so that a later life need not read it from the beginning."""
        if position - self._noted < NOTE_EVERY:
            return
        _, at = await self._parts.log.load(rules.PROGRESS, rules.progress)
        try:
            advanced = NotifierAdvanced(position=position)
            await self._parts.log.append(Change(rules.PROGRESS, at, [advanced]), author=self._author, patient=True)
        except StreamMoved:  # another server noted it
            pass
        self._noted = position

    def _ring(self, deployment_id: str, webhook_id: str) -> None:
        """Wake the endpoint's courier; one that has gone home is sent out again."""
        known = self._couriers.get(webhook_id)
        if known is not None and not known[1].done():
            known[0].bell.set()
            return
        courier = Courier(self._parts, deployment_id, webhook_id)
        task = asyncio.create_task(courier.run(), name=f"courier {webhook_id}")
        self._couriers[webhook_id] = (courier, task)
        task.add_done_callback(lambda done: self._gone(webhook_id, done))

    def _gone(self, webhook_id: str, task: "asyncio.Task[None]") -> None:
        if webhook_id in self._couriers and self._couriers[webhook_id][1] is task:
            del self._couriers[webhook_id]
        if not task.cancelled() and task.exception() is not None:
            logger.error("a courier broke down; its deliveries wait", webhook_id=webhook_id, exc_info=task.exception())
