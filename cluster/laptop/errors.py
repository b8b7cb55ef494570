"""What can go wrong when a laptop's cluster comes up. Each sentence says what to do.

LaptopError
├── Unsupported     this machine lacks something that nothing here can replace
├── PortTaken       a port that was asked for belongs to somebody else's process
├── Busy            another `up` or `down` holds this home
├── StartFailed     one of our programs did not come up; its log is named
├── HeadDied        Ray died while its applications came up
└── DeployFailed    an application did not come up; its own message is inside
"""

from pathlib import Path

from models.errors import ClusterError


class LaptopError(ClusterError):
    """The cluster could not be brought where it was asked to be."""

    code = "laptop_error"


class Unsupported(LaptopError):
    """Something is missing on this machine that nothing here can replace."""

    code = "unsupported_machine"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class PortTaken(LaptopError):
    """A port that was asked for belongs to a process that is not ours. `holder` is its name and pid, or unknown."""

    code = "port_taken"

    def __init__(self, port: int, holder: str, variable: str) -> None:
        super().__init__(port, holder, variable)
        self.port, self.holder, self.variable = port, holder, variable

    def __str__(self) -> str:
        return f"Port {self.port} is held by {self.holder}. Stop it, or set {self.variable} to another port."


class Busy(LaptopError):
    """Another `up` or `down` works on this home."""

    code = "busy"

    def __init__(self, home: Path, waited_s: float) -> None:
        super().__init__(home, waited_s)
        self.home, self.waited_s = home, waited_s

    def __str__(self) -> str:
        return f"Another `up` or `down` has been working on {self.home} for {self.waited_s:.0f} s. Wait for it to end."


class StartFailed(LaptopError):
    """A program did not come up. `log` is where it says why, `reason` its last words."""

    code = "start_failed"

    def __init__(self, program: str, reason: str, log: Path | None = None) -> None:
        super().__init__(program, reason, log)
        self.program, self.reason, self.log = program, reason, log

    def __str__(self) -> str:
        where = "" if self.log is None else f" Its log: {self.log}"
        return f"{self.program} did not start: {self.reason}.{where}"


class HeadDied(LaptopError):
    """Ray died while its applications came up: somebody ended it, or this machine ran out of something."""

    code = "ray_died"

    def __init__(self, programs: tuple[str, ...]) -> None:
        super().__init__(programs)
        self.programs = programs

    def __str__(self) -> str:
        return f"Ray's {', '.join(self.programs)} ended while the applications came up. `becoming-one up` starts anew."


class DeployFailed(LaptopError):
    """An application did not come up; `message` is Ray Serve's, with the application's own error."""

    code = "deploy_failed"

    def __init__(self, application: str, message: str) -> None:
        super().__init__(application, message)
        self.application, self.message = application, message

    def __str__(self) -> str:
        return f"The application {self.application} did not come up: {self.message}"
