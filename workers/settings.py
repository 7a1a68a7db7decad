"""The quick ARQ worker: short functions only, on a schedule.

A killed ARQ job comes back after 10 s plus the longest timeout of its whole worker, so no function here may take over
20 s; long work gets a worker class and a queue of its own.
"""

from __future__ import annotations

import asyncio

from arq.connections import ArqRedis
from arq.cron import CronJob, cron
from arq.typing import WorkerCoroutine
from arq.worker import Worker
from redis.asyncio import BlockingConnectionPool

from core.kit.scope import Scope
from workers.sweeps import prune_inbox, sweep_holds, sweep_merges, sweep_turns

QUICK_TIMEOUT_S = 20
CONNECTIONS, WAIT_S = 8, 5
EVERY_10_S = set(range(0, 60, 10))


def quick_worker(scope: Scope) -> Worker:
    """The worker of this process. It takes no signals: the process decides when it ends.

    ARQ keeps its bookkeeping under the job's name whatever the queue, so names carry the deployment's prefix.
    """
    prefix = scope.keys.prefix

    def scheduled(function: WorkerCoroutine, name: str, seconds: set[int] | int, minute: int | None = None) -> CronJob:
        return cron(
            function,
            name=f"{prefix}{name}",
            second=seconds,
            minute=minute,
            timeout=QUICK_TIMEOUT_S,
            unique=True,
            keep_result=0,
        )

    return Worker(
        functions=[],
        cron_jobs=[
            scheduled(sweep_turns, "sweep_turns", EVERY_10_S),
            scheduled(sweep_holds, "sweep_holds", EVERY_10_S),
            scheduled(sweep_merges, "sweep_merges", EVERY_10_S),
            scheduled(prune_inbox, "prune_inbox", 0, minute=7),
        ],
        queue_name=f"{prefix}quick",
        redis_pool=ArqRedis(pool_or_conn=_pool_of_its_own(scope), default_queue_name=f"{prefix}quick"),
        handle_signals=False,
        job_timeout=QUICK_TIMEOUT_S,
        keep_result=0,
        poll_delay=1.0,
        max_jobs=4,
    )


def _pool_of_its_own(scope: Scope) -> BlockingConnectionPool:
    """A pool beside the process's: ARQ closes the one it was given when it ends."""
    assert scope.redis is not None
    shared = scope.redis.connection_pool
    return BlockingConnectionPool(
        max_connections=CONNECTIONS,
        timeout=WAIT_S,
        connection_class=shared.connection_class,
        **shared.connection_kwargs,
    )


async def run(scope: Scope) -> None:
    """Work until cancelled. ARQ's own `close` waits for its jobs without a bound; ours are safe to end anywhere."""
    worker = quick_worker(scope)
    try:
        await worker.async_run()
    finally:
        for job in worker.tasks.values():
            job.cancel()
        await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
        await worker.pool.connection_pool.disconnect()
