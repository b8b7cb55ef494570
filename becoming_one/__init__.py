"""The front door.

cli/           the `becoming-one` command, one file per command group, each thin
client.py      the Python client that notebooks import: HTTP only, sync and async
operations.py  what the client does, without doing it: retries, batches, health
wire.py        values <-> the server's JSON and event streams, pure
connection.py  the address, the key, and how httpx's outcomes become ours
errors.py      what a call can end in, one drawn tree
settings.py    where the cluster is and with which key: the environment, and what `up` left behind
progress.py    a bar, on stderr or below a notebook's cell
"""
