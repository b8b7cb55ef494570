"""Everything that remembers: one port per role, one file per vendor. No Ray, no torch.

ports.py           what each role promises: Cache, Keys
errors.py          the error tree's third family
memory.py          an honest in-memory peer of every port, shipped for tests and single processes
settings.py        where the stores are, read from the environment once, in a composition root
connect.py         settings -> ports, each connecting lazily on first use
cache_redis.py     Cache on Redis or Valkey
keys_postgres.py   Keys (API keys, hashed) on PostgreSQL
migrations.py      applies sql/DATABASE/NNN_name.sql once each, in order
sql/               the schemas, one folder per database
"""
