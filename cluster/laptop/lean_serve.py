"""Keeps pandas out of Ray Serve's processes. Imported by every Ray worker at its start (RAY_preload_python_modules).

Serve imports pandas where it is installed, only to encode data frames as JSON, which no application of ours returns.
Ray Data needs it, so it is installed. Each of Serve's processes (controller, proxies, replicas) paid 2.2 of 6.7 CPU
seconds of imports and 31 MB for it (2 loaded cores, 2026-11). Every other `import pandas` works as ever.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType

IMPORTER = "ray.serve._private.utils"
"""The module that guards its `import pandas` with `except ImportError`."""


class NoPandasForServe(MetaPathFinder):
    """Says that there is no pandas, to that one module."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002  # the protocol's
        target: ModuleType | None = None,  # noqa: ARG002  # the protocol's
    ) -> ModuleSpec | None:
        """Never finds anything: raises for that importer, leaves the rest to the finders behind it."""
        if fullname == "pandas" and _is_imported_by(IMPORTER):
            raise ModuleNotFoundError(f"kept out of {IMPORTER}", name=fullname)
        return None


def _is_imported_by(name: str) -> bool:
    """Whether the innermost frame outside the import machinery is that module's."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  # the documented way to one's caller
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") == name


sys.meta_path.insert(0, NoPandasForServe())
