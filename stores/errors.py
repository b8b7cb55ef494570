"""The error tree's third family (models/errors.py draws the whole): a store failed.

StoreError
├── StoreUnavailable   not reachable or not answering in time: caches go without it, money and keys do not
└── StoreCorrupt       it answered with something that this code never wrote
"""

from models.errors import ClusterError


class StoreError(ClusterError):
    """A store failed; nothing the caller can change."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The store is not reachable or did not answer in time."""

    code = "store_unavailable"
    retryable = True

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(store, reason)
        self.store, self.reason = store, reason

    def __str__(self) -> str:
        return f"{self.store} is not available: {self.reason}"


class StoreCorrupt(StoreError):
    """The store answered with something that this code never wrote."""

    code = "store_corrupt"

    def __init__(self, store: str, key: str, reason: str) -> None:
        super().__init__(store, key, reason)
        self.store, self.key, self.reason = store, key, reason

    def __str__(self) -> str:
        return f"{self.store} holds something unreadable at {self.key}: {self.reason}"
