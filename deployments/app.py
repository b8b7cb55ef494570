"""Composition root: what serve_config.yaml's import paths name. Plain classes are wrapped as Serve applications here.

Each `build_*` runs inside a replica: it reads the environment, connects ports (lazily), installs the replica's front
and returns an ASGI application. Each function without `build_` is what Serve imports: arguments in, Application out.
"""

import logging
from collections.abc import Callable
from typing import Any

from ray import serve
from ray.serve import Application

from deployments.answers import AnswerCache
from deployments.args import EmbeddingArgs, GatewayArgs, LlmArgs
from deployments.asgi import AsgiApplication
from deployments.completion import Completion
from deployments.edge import Edge
from deployments.embedding import Embeddings
from deployments.front import Front, install
from deployments.gateway import Gateway
from deployments.llm import LocalLlm
from deployments.metrics import Metrics
from deployments.ray_metrics import RaySink, export
from deployments.settings import DeploymentSettings, VendorSettings
from deployments.upstreams import Readiness, Upstreams, check_keys
from deployments.vendors import connect_vendors
from models import catalog as catalogs
from models.engines.http_generator import Timeouts
from models.engines.openai import OpenAIShaped
from models.ports import Generator
from models.settings import ModelSettings
from models.weights import fetch
from stores.connect import connect
from stores.ports import Keys
from stores.settings import StoreSettings


def gateway(args: dict[str, Any]) -> Application:
    """The application on /."""
    parsed = GatewayArgs.model_validate(args)
    return _wrap("gateway", lambda: build_gateway(parsed))


def llm(args: dict[str, Any]) -> Application:
    """A local model's application on /llm/MODEL."""
    parsed = LlmArgs.model_validate(args)
    return _wrap("llm", lambda: build_llm(parsed))


def embedding(args: dict[str, Any]) -> Application:
    """The application on /v1/embeddings."""
    parsed = EmbeddingArgs.model_validate(args)
    return _wrap("embedding", lambda: build_embedding(parsed))


def build_gateway(args: GatewayArgs) -> AsgiApplication:
    """Inside a replica of the gateway."""
    settings, stores = DeploymentSettings(), connect(StoreSettings())
    catalog = catalogs.load()
    metrics = Metrics("gateway", RaySink())
    edge = Edge(stores.keys, settings.service_key)
    answers = AnswerCache(stores.cache, args.cache_ttl_s, args.lru_bytes, args.lru_ttl_s)
    metrics.watch("cache", lambda: answers.available)
    metrics.watch("keys", lambda: edge.keys_available)
    timeouts = Timeouts(silence_s=args.silence_timeout_s)
    vendors, missing = connect_vendors(VendorSettings(), timeouts)
    upstreams = Upstreams(catalog, args, settings.internal_url, missing)
    engines: dict[str, Generator] = {
        spec.id: vendors[spec.where] for spec in catalog.specs if spec.kind == "chat" and spec.where in vendors
    }
    engines |= {
        id_: OpenAIShaped(f"{settings.internal_url}/llm/{id_}/v1", settings.service_key, timeouts)
        for id_ in args.local_models
    }
    completion = Completion(catalog, engines, upstreams.unavailable, answers, metrics)
    handlers = Gateway(completion, catalog, upstreams, metrics, export)
    install(
        Front(
            prefix="",
            edge=edge,
            metrics=metrics,
            readiness=Readiness(edge, stores.keys, answers, upstreams),
            max_body_bytes=args.max_body_bytes,
            answers=answers if args.cache_ttl_s else None,
            cached_path="/v1/chat/completions",
            revision=catalog.revision,
        )
    )

    async def stop() -> None:
        for engine in dict.fromkeys(engines.values()):
            await engine.close()
        await stores.keys.close()
        if stores.cache is not None:
            await stores.cache.close()

    return AsgiApplication(
        {
            ("POST", "/v1/chat/completions"): handlers.complete,
            ("GET", "/v1/models"): handlers.models,
            ("GET", "/v1/models/*"): handlers.model,
            ("GET", "/metrics"): handlers.metrics,
            ("GET", "/openapi.json"): handlers.openapi,
            ("GET", "/docs"): handlers.docs,
        },
        stop,
    )


def build_llm(args: LlmArgs) -> AsgiApplication:
    """Inside a replica of a local model."""
    from models.engines.llama_cpp import LlamaCpp  # noqa: PLC0415  # only replicas that hold one

    stores = connect(StoreSettings())
    spec = catalogs.load().spec(args.model)
    folder = fetch(str(spec.weights), ModelSettings())
    engine = LlamaCpp(folder, args.threads, args.parallel, spec.context_tokens, spec.chat_template)
    handlers = LocalLlm(spec, engine)
    prefix = f"/llm/{spec.id}"
    _install_plain(prefix, Metrics(f"llm {spec.id}", RaySink()), stores.keys, args.max_body_bytes)

    async def stop() -> None:
        await engine.close()
        await stores.keys.close()

    return AsgiApplication({("POST", f"{prefix}/v1/chat/completions"): handlers.complete}, stop)


def build_embedding(args: EmbeddingArgs) -> AsgiApplication:
    """Inside a replica of the embeddings application."""
    from models.engines.openvino_embedder import OpenVinoEmbedder  # noqa: PLC0415  # only replicas that hold one

    stores = connect(StoreSettings())
    spec = catalogs.load().spec(args.model)
    embedder = OpenVinoEmbedder(fetch(str(spec.weights), ModelSettings()), args.threads)
    metrics = Metrics("embedding", RaySink())
    handlers = Embeddings(embedder, args, metrics)
    _install_plain("/v1/embeddings", metrics, stores.keys, args.max_body_bytes)

    async def stop() -> None:
        await handlers.close()
        await stores.keys.close()

    return AsgiApplication({("POST", "/v1/embeddings"): handlers.create}, stop)


def _install_plain(prefix: str, metrics: Metrics, keys: Keys, max_body_bytes: int) -> None:
    """The front of an application that holds a model and no cache: ready as soon as its replica is."""

    async def readiness() -> tuple[bool, dict[str, str]]:
        return True, {"keys": await check_keys(keys)}

    edge = Edge(keys, DeploymentSettings().service_key)
    install(Front(prefix, edge, metrics, readiness, max_body_bytes))


def _wrap(name: str, build: Callable[[], AsgiApplication]) -> Application:
    """One Serve deployment whose replicas run the ASGI application that `build` returns inside them."""
    logging.getLogger("becoming_one").setLevel(logging.INFO)
    return serve.deployment(name=name)(serve.ingress(build)()).bind()
