"""A supervisor as `pgqueue worker -P n` runs it, which also prints its events, a JSON object a line."""

from __future__ import annotations

import json
import sys

from pgqueue.worker import Event, logs, supervise


def main() -> int:
    options = json.loads(sys.argv[1])
    logs.configure(level="INFO")

    def tell(event: Event) -> None:
        print(json.dumps({"name": event.name, **event.facts}), flush=True)

    return supervise(options.pop("app"), on_event=tell, **options)


if __name__ == "__main__":
    sys.exit(main())
