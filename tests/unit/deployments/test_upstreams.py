"""Whether the models behind the gateway answer, asked seldom while they do and often while one does not."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from deployments.args import GatewayArgs
from deployments.upstreams import DOWN_MEMORY_S, PROBE_MEMORY_S, Upstreams
from models import catalog

MODEL = "smollm2-135m-instruct"


class Application:
    """A model's application: answers /readyz with `status` and counts who asks."""

    def __init__(self) -> None:
        self.status, self.asked, self.url = 200, 0, ""

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status)


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    one = Application()
    app = web.Application()
    app.router.add_get("/llm/{model}/readyz", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


async def test_a_model_that_answers_is_asked_once_a_while_and_one_that_does_not_soon_again(application) -> None:
    now = [100.0]
    args = GatewayArgs(local_models=[MODEL])
    upstreams = Upstreams(catalog.load(), args, application.url, {}, lambda: now[0])
    application.status = 503
    assert await upstreams.probe() == {MODEL: "answers 503"}
    application.status = 200
    assert await upstreams.probe() == {MODEL: "answers 503"}
    now[0] += 2 * DOWN_MEMORY_S
    assert await upstreams.probe() == {MODEL: "ok"}
    now[0] += PROBE_MEMORY_S / 2
    await upstreams.probe()
    assert application.asked == 2
    now[0] += PROBE_MEMORY_S
    await upstreams.probe()
    assert application.asked == 3


async def test_an_application_that_nobody_runs_is_named_by_its_error() -> None:
    upstreams = Upstreams(catalog.load(), GatewayArgs(local_models=[MODEL]), "http://127.0.0.1:9", {})
    assert await upstreams.probe() == {MODEL: "ClientConnectorError"}
