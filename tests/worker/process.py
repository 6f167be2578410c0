"""A worker process as `pgqueue worker` runs it, which also prints its events, a JSON object a line."""

from __future__ import annotations

import asyncio
import json
import sys

from pgqueue.worker import Event, Worker, logs
from pgqueue.worker.appload import load_app
from pgqueue.worker.entry import leave


def main() -> int:
    options = json.loads(sys.argv[1])
    logs.configure(level="INFO")

    def tell(event: Event) -> None:
        print(json.dumps({"name": event.name, **event.facts}, default=str), flush=True)

    async def run() -> int:
        return leave(await Worker(load_app(options.pop("app")), on_event=tell, **options).run())

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
