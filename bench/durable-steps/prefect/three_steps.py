"""Three durable steps with Prefect: tasks whose results are kept. RUNS, AT_ONCE -> one line of JSON."""

import asyncio
import json
import os
import resource
import time

from prefect import flow, task


@task(persist_result=True)
async def step(name: str) -> str:
    return name


@flow(persist_result=True)
async def three_steps(run: int) -> None:
    for name in ("s0", "s1", "s2"):
        await step(name)


def cpu_ms() -> float:
    # The server that Prefect starts beside the flow is a child.
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(one.ru_utime + one.ru_stime for one in used)


async def main() -> None:
    await three_steps(-1)
    runs = iter(range(int(os.environ["RUNS"])))

    async def serve() -> None:
        for run in runs:
            await three_steps(run)

    cpu_before, started_at = cpu_ms(), time.monotonic()
    await asyncio.gather(*(serve() for _ in range(int(os.environ["AT_ONCE"]))))
    wall_ms = 1000 * (time.monotonic() - started_at)
    print(json.dumps({"wallMs": wall_ms, "cpuMs": cpu_ms() - cpu_before}), flush=True)


asyncio.run(main())
