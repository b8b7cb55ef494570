"""The front door.

cli/        the `becoming-one` command, one file per command group, each thin
client.py   the Python client that notebooks import: HTTP only, sync and async
"""
