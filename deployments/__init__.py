"""HTTP request -> answer, on Ray Serve. Reader's order: app, edge, completion, routing.

app.py         composition root: serve_config.yaml's import paths, plain classes wrapped as Serve applications
args.py        what runs: the arguments of each application, typed
settings.py    where and with which key: the environment, read once
front.py       the middleware on Serve's own hook, in every ingress replica: refusals, health, exact cache hits
edge.py        who calls, limits, request ids; the same for every application
errors.py      the error tree -> HTTP status and the vendor's error shape
completion.py  the main path: cache, single flight, plan, engine, cache
gateway.py     the application on /
embedding.py   the application on /v1/embeddings
llm.py         a local model's application, OpenAI-shaped
surfaces/      wire <-> values, pure, one file per surface
"""
