"""A whole cluster on one machine: servers from packages, Ray and the applications, on loopback, without root.

up.py            bring it up, or heal it        down.py   end all of it and nothing else
status.py        what runs, where, how large    logs.py   what it wrote
settings.py      what it may be told            errors.py what can go wrong, and what to do then

home.py          .becoming-one/: lock, secrets, what is remembered between two commands
processes.py     which processes are ours, and how they end
ports.py         which ports are free, who holds the others
servers.py       what valkey.py and postgres.py have in common
keys.py          the laptop's own API key
weights.py       fetches what the deployed models need
ray_head.py      Ray's environment, ports and programs; ray_start.py is what it runs
lean_serve.py    keeps pandas out of Serve's processes
haproxy.sh       keeps HAProxy on loopback, and lets it die with its parent
applications.py  serve_config.yaml to Serve's REST API, and the wait until all answer
"""
