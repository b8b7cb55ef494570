"""HTTP request -> answer, on Ray Serve. Reader's order: app, front, completion.

app.py            composition root: serve_config.yaml's import paths, plain classes wrapped as Serve applications
args.py           what runs: the arguments of each application, typed
settings.py       where and with which key: the environment, read once
asgi.py           an application as Serve sees it: routes, start and stop, an answer for every failure
front.py          the middleware on Serve's own hook, in every ingress replica: refusals, health, exact cache hits
hangup.py         a client that hangs up ends the work for it
edge.py           who calls: keys, request ids, data class, cache directives; the same for every application
keys.py           what an API key is: made, parsed, compared
answers.py        the exact cache: its keys, the in-process LRU, the shared store
completion.py     the main path: flight? plan, engine, cache
flights.py        single flight: identical requests in flight share one generation
chat_endpoint.py  events of a generation -> a chat answer, whole or streamed
gateway.py        the application on /
upstreams.py      which models the gateway can ask, and whether they answer
vendors.py        the vendors that have a key
embedding.py      the application on /v1/embeddings
llm.py            a local model's application on /llm/MODEL
metrics.py        what each replica counts
ray_metrics.py    counts -> Ray's metrics agents -> /metrics
openapi.py        the OpenAPI document and its page
errors.py         the error tree -> HTTP status and the vendor's error shape
http.py           the few HTTP gestures on raw ASGI
surfaces/         wire <-> values, pure, one file per surface
"""
