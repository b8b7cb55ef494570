"""What `ray start --head` does, without importing all of Ray's command line, pandas and FastAPI first.

Run as a program by ray_head.py: one argument, the parameters as JSON. CPU seconds on 2 loaded cores, 2026-11:
`import ray.scripts.scripts` 6.1, `import ray` 1.5. The classes are Ray's own and not promised to stay as they are;
constraints.txt pins Ray, and tests/chaos/test_laptop.py fails when they change.
"""

import json
import sys
from typing import Any


def main(parameters: dict[str, Any]) -> None:
    """Start the programs of a head and leave them running. Exits with 1 and a traceback when one does not come up."""
    from ray._private.node import Node  # noqa: PLC0415  # a second
    from ray._private.parameter import RayParams  # noqa: PLC0415
    from ray._raylet import (  # type: ignore[attr-defined]  # noqa: PLC0415
        DASHBOARD_AGENT_LISTEN_PORT_NAME,
        persist_port,
    )

    class Head(Node):  # type: ignore[misc]  # Ray is untyped here
        """Tells the raylet its agent's port, which is ours to choose, instead of letting it wait for the agent.

        The raylet dies when the agent has not said it after 15 s, and the agent needs 5 CPU seconds to come so far.
        """

        def start_raylet(self, *arguments: Any, **named: Any) -> None:
            port = parameters["dashboard_agent_listen_port"]
            persist_port(self.get_session_dir_path(), self.node_id, DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
            super().start_raylet(*arguments, **named)

    Head(RayParams(**parameters), head=True, shutdown_at_exit=False, spawn_reaper=False)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
