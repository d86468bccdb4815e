"""Both ends of the channel, over a real socket pair."""

import asyncio
import socket

from uncork.edge.channel import ORPHAN_DRAIN_SECONDS, Channel, SupervisorChannel, WorkerChannel


async def ends(on_log: list[str]) -> tuple[SupervisorChannel, WorkerChannel]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    worker = await WorkerChannel.from_environment({"UNCORK_CHANNEL_FD": str(theirs.detach())})
    return SupervisorChannel(await Channel.over(ours), on_log.append), worker


def test_a_conversation() -> None:
    async def main() -> None:
        heard: list[object] = []
        logged: list[str] = []
        supervisor, worker = await ends(logged)
        worker.on_drain = lambda seconds: heard.append(("drain", seconds))
        worker.on_reopen = lambda: heard.append("reopen")
        worker.on_snapshot = lambda: {"hits": len(heard)}
        worker.on_marks = lambda keys: {key: {"reason": "session"} for key in keys}
        listening = asyncio.create_task(supervisor.run())
        working = asyncio.create_task(worker.run())

        assert not supervisor.ready.is_set()
        await worker.ready()
        worker.log("hello")
        worker.turned()
        await asyncio.wait_for(supervisor.ready.wait(), 5)
        await asyncio.wait_for(supervisor.turned.wait(), 5)
        supervisor.reopen_logs()
        supervisor.drain(2)
        assert await supervisor.snapshot(5) == {"hits": 2}
        assert await supervisor.marks(["ab"], 5) == {"ab": {"reason": "session"}}
        assert await supervisor.marks([], 5) == {}
        assert heard == ["reopen", ("drain", 2.0)]
        assert logged == ["hello"]

        await worker.close()
        await asyncio.wait_for(asyncio.gather(listening, working), 5)

    asyncio.run(main())


def test_the_worker_drains_when_the_supervisor_is_gone() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        worker = await WorkerChannel.from_environment({"UNCORK_CHANNEL_FD": str(theirs.detach())})
        drained: list[float] = []
        worker.on_drain = drained.append
        ours.close()
        await asyncio.wait_for(worker.run(), 5)
        assert drained == [ORPHAN_DRAIN_SECONDS]
        await worker.close()

    asyncio.run(main())


def test_a_snapshot_of_a_worker_that_dies_is_none() -> None:
    async def main() -> None:
        supervisor, worker = await ends([])
        listening = asyncio.create_task(supervisor.run())
        asked = asyncio.create_task(supervisor.snapshot(5))
        await asyncio.sleep(0)  # the question is on its way
        await worker.close()
        assert await asyncio.wait_for(asked, 2) is None
        await asyncio.wait_for(listening, 2)

    asyncio.run(main())


def test_a_snapshot_that_takes_too_long_is_none() -> None:
    async def main() -> None:
        supervisor, worker = await ends([])
        listening = asyncio.create_task(supervisor.run())
        assert await supervisor.snapshot(0.01) is None
        await worker.close()
        await asyncio.wait_for(listening, 2)

    asyncio.run(main())
