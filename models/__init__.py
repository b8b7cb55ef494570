"""What a model is and what it says. No Ray, no HTTP server, no torch at import.

values.py            the words every room shares: GenerateRequest, StreamEvent, Usage, Caller, Transcript, Vectors
outputs.py           events -> the whole answer
errors.py            the error tree's root, and its first two families: the caller is wrong, a model failed
ports.py             what an engine is: Generator, Embedder, Transcriber
fakes.py             a deterministic engine of each kind, shipped, so that a test can assert its output
catalog.py           catalog.yaml typed: one Spec a row, roles, retirement, prices
routing.py           plan(request, catalog, unavailable) -> candidates in order, and why each spec was kept or dropped
weights.py           weights.lock -> verified files in one cache folder; `python -m models.weights`
weights_lock.py      what is pinned
weights_sources.py   how bytes come: package://, hf://, file://, s3://
weights_cache.py     what lies in the cache already, and that only one process brings it
weights_progress.py  how a download is shown
settings.py          where weights lie and how they come, read from the environment once
sse.py               server-sent events from bytes, cut anywhere
engines/             one file per engine, heavy imports inside the constructors
"""
