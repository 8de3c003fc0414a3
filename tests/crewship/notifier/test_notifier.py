"""The notifier over a real log and real receivers, with less patience than a server has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crewship.addresses import Reach
from crewship.commands import deliveries, deployments, webhooks
from crewship.eventlog import Author, Change, EventLog, open_log
from crewship.notifier.courier import Parts, Policy
from crewship.notifier.notifier import Notifier
from crewship.notifier.sending import Sender
from crewship.secrets import installation_key
from crewship.views import Views
from crewship.views.sqlite import SqliteViews
from domain.run import RunFailed
from domain.webhook import NOTICES
from projections import webhooks as view
from tests.golden.record import run_of
from tests.receiver import Receiver, listening

AUTHOR = Author(by="key:k")
LOOPBACK = Reach(("127.0.0.1",))
QUICK = Policy(answer_within=1.0, pauses=(0.02,), most_failures=1000)


class House:
    """A log with one deployment, its views, and a notifier."""

    def __init__(self, log: EventLog, views: Views) -> None:
        self.log, self.views = log, views

    async def notifier(self, policy: Policy = QUICK, reach: Reach = LOOPBACK, epoch: int = 1) -> Notifier:
        parts = Parts(
            log=self.log,
            views=self.views,
            sender=Sender(reach, policy.answer_within),
            slots=asyncio.Semaphore(8),
            policy=policy,
            server_id="srv_1",
            epoch=epoch,
        )
        notifier = Notifier(parts)
        await notifier.open()
        return notifier

    async def endpoint(self, receiver: Receiver) -> tuple[str, str]:
        name = f"to {receiver.port}"
        return await webhooks.create_outgoing(self.log, "crew", name, receiver.url, list(NOTICES), AUTHOR)

    async def end_a_run(self, number: int) -> None:
        """A run of the deployment that fails."""
        deployment, _ = await deployments.find(self.log, "crew")
        run_id = f"run_{number}"
        for change in run_of(run_id, RunFailed(run_id=run_id, reason="error", error="E: x", duration_ms=1)):
            requested, *rest = change.events
            requested = msgspec.structs.replace(requested, deployment_id=deployment.id)
            await self.log.append(Change(change.stream, 0, [requested, *rest]), author=AUTHOR)

    async def rows(self, webhook_id: str) -> list[dict[str, Any]]:
        await self.views.reached(self.log.appended, 5)
        return await self.views.rows(view.deliveries(()), webhook_id=webhook_id, limit=100, offset=0)

    async def attempts(self, delivery_id: str) -> list[dict[str, Any]]:
        await self.views.reached(self.log.appended, 5)
        return await self.views.rows(view.ATTEMPTS_OF, delivery_id=delivery_id)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        with self.log.follower(self.log.head) as follower:
            async with asyncio.timeout(30):
                while not await holds():
                    await follower.next()

    async def delivered(self, webhook_id: str, count: int) -> list[dict[str, Any]]:
        """The endpoint's deliveries, once so many have succeeded."""

        async def enough() -> bool:
            return sum(row["status"] == "succeeded" for row in await self.rows(webhook_id)) >= count

        await self.until(enough)
        return await self.rows(webhook_id)

    async def paused(self, webhook_id: str) -> str | None:
        deployment, _ = await deployments.find(self.log, "crew")
        await self.views.reached(self.log.appended, 5)
        row = await self.views.row(view.GET, deployment_id=deployment.id, id=webhook_id)
        return row["paused_reason"] if row else None


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, None, installation_key(tmp_path / "key"), stack)
        views = Views(SqliteViews(tmp_path / "views.db"), log)
        await views.open()
        stack.push_async_callback(views.close)
        await deployments.create(log, "crew", AUTHOR)
        yield House(log, views)


async def test_what_fails_is_tried_again_until_it_is_heard_and_each_attempt_is_on_record(house: House):
    with listening(Receiver(answers=[(500, 0), (302, 0), (200, 0)], location="http://127.0.0.1:1/")) as receiver:
        webhook_id, secret = await house.endpoint(receiver)
        notifier = await house.notifier()
        await house.end_a_run(1)
        (row,) = await house.delivered(webhook_id, 1)
        await notifier.close()
    attempts = await house.attempts(row["id"])
    assert [attempt["status_code"] for attempt in attempts] == [500, 302, 200]
    assert attempts[1]["error"] == "answered 302; redirects are not followed"
    said = [arrived.verified(secret) for arrived in receiver.arrived]
    assert said[0] == said[1] == said[2]
    assert (said[0]["id"], said[0]["event"], said[0]["data"]["id"]) == (row["id"], "run.failed", "run_1")


async def test_an_endpoint_that_does_not_answer_in_time_has_failed(house: House):
    with listening(Receiver(answers=[(200, 30), (200, 0)])) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier(Policy(answer_within=0.2, pauses=(0.02,)))
        await house.end_a_run(1)
        (row,) = await house.delivered(webhook_id, 1)
        await notifier.close()
    first, *_ = await house.attempts(row["id"])
    assert (first["outcome"], first["error"]) == ("failed", "no answer within 0.2 s")


async def test_a_status_in_time_is_enough_whatever_becomes_of_the_body(house: House):
    with listening(Receiver(body_pause=30)) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier(Policy(answer_within=0.5))
        await house.end_a_run(1)
        (row,) = await house.delivered(webhook_id, 1)
        await notifier.close()
    assert [attempt["response"] for attempt in await house.attempts(row["id"])] == [None]


async def test_a_slow_endpoint_holds_up_nobody_else(house: House):
    with listening(Receiver(answers=[(200, 30)])) as slow, listening(Receiver()) as quick:
        await house.endpoint(slow)
        quick_id, _ = await house.endpoint(quick)
        notifier = await house.notifier(Policy(answer_within=30))
        for number in range(12):
            await house.end_a_run(number)
        await house.delivered(quick_id, 12)
        assert len(slow.arrived) == 4  # no more at once; the others wait
        slow.released.set()
        await notifier.close()


async def test_a_long_answer_is_read_no_further_than_is_kept(house: House):
    with listening(Receiver(says=b"\xff\0" + b"x" * 3_000_000)) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier()
        await house.end_a_run(1)
        (row,) = await house.delivered(webhook_id, 1)
        await notifier.close()
    (attempt,) = await house.attempts(row["id"])
    assert attempt["response"].startswith("\N{REPLACEMENT CHARACTER}x")
    assert len(attempt["response"]) <= 1024


async def test_an_endpoint_that_keeps_failing_is_paused_and_what_waits_goes_out_once_it_is_resumed(house: House):
    with listening(Receiver(answers=[(500, 0)])) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier(Policy(pauses=(0.02,), most_failures=5, failing_for=0))
        await house.end_a_run(1)

        async def is_paused() -> bool:
            return await house.paused(webhook_id) is not None

        await house.until(is_paused)
        why = await house.paused(webhook_id)
        assert why is not None
        assert why.startswith("5 attempts in a row have failed since")
        assert why.endswith("the last: answered 500")
        await house.end_a_run(2)
        receiver.answers = [(200, 0)]
        stream = await deliveries.ping(house.log, "crew", webhook_id, AUTHOR)  # goes out all the same
        await house.delivered(webhook_id, 1)
        assert (await deliveries.find(house.log, stream))[0].status == "succeeded"
        await webhooks.resume(house.log, "crew", webhook_id, AUTHOR)
        await house.delivered(webhook_id, 3)
        await notifier.close()
    assert receiver.arrived[5].json["event"] == "ping"
    assert sorted(one.json["data"]["id"] for one in receiver.arrived[6:]) == ["run_1", "run_2"]


async def test_an_endpoint_that_is_gone_is_paused_at_once(house: House):
    with listening(Receiver(answers=[(410, 0)])) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier()
        await house.end_a_run(1)

        async def is_paused() -> bool:
            return await house.paused(webhook_id) == "it answered 410 Gone"

        await house.until(is_paused)
        await notifier.close()
    assert len(receiver.arrived) == 1


async def test_what_ended_while_no_notifier_lived_is_told_once_by_the_next(house: House):
    with listening(Receiver()) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        await house.end_a_run(1)
        for epoch in (1, 2):
            notifier = await house.notifier(epoch=epoch)
            await house.end_a_run(epoch + 1)
            await house.delivered(webhook_id, epoch + 1)
            await notifier.close()
    assert sorted(one.json["data"]["id"] for one in receiver.arrived) == ["run_1", "run_2", "run_3"]


async def test_an_attempt_that_was_cut_off_is_made_again_by_the_next_life(house: House):
    with listening(Receiver(answers=[(200, 30), (200, 0)])) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier(Policy(answer_within=60))
        await house.end_a_run(1)
        await asyncio.to_thread(receiver.wait_for, 1)
        for _, courier in notifier._couriers.values():
            courier.cancel()
        for task in [task for courier, _ in notifier._couriers.values() for task in courier._under_way.values()]:
            task.cancel()  # as a crash would
        await notifier.close()
        second = await house.notifier(Policy(answer_within=60), epoch=2)
        (row,) = await house.delivered(webhook_id, 1)
        await second.close()
    attempts = await house.attempts(row["id"])
    assert [attempt["outcome"] for attempt in attempts] == ["unknown", "succeeded"]


async def test_a_name_that_leads_to_a_closed_address_is_not_connected_to(house: House):
    with listening(Receiver()) as receiver:
        receiver_url = receiver.url.replace("127.0.0.1", "localhost")
        webhook_id, _ = await webhooks.create_outgoing(
            house.log, "crew", "rebound", receiver_url, list(NOTICES), AUTHOR
        )
        notifier = await house.notifier(reach=Reach())
        stream = await deliveries.ping(house.log, "crew", webhook_id, AUTHOR)

        async def over() -> bool:
            return (await deliveries.find(house.log, stream))[0].status == "failed"

        await house.until(over)
        await notifier.close()
    (row,) = await house.rows(webhook_id)
    (attempt,) = await house.attempts(row["id"])
    assert "is not a public address" in attempt["error"]
    assert receiver.arrived == []


async def test_an_endpoint_that_was_deleted_is_told_nothing_more(house: House):
    with listening(Receiver(answers=[(500, 0)])) as receiver:
        webhook_id, _ = await house.endpoint(receiver)
        notifier = await house.notifier(Policy(pauses=(60,)))
        await house.end_a_run(1)
        await asyncio.to_thread(receiver.wait_for, 1)
        await webhooks.delete(house.log, "crew", webhook_id, AUTHOR)
        await house.end_a_run(2)
        assert await house.rows(webhook_id) == []
        await notifier.close()
    assert len(receiver.arrived) == 1
