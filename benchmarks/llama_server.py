"""The HTTP server that xllamacpp itself ships (llama.cpp's), with the parameters of our application: a baseline.

It gets what models/engines/llama_cpp.py tells the engine; only the door is another.

    python -m benchmarks.llama_server PORT ARGS       ARGS: deployments.args.LlmArgs as JSON
"""

import signal
import sys

import xllamacpp

from benchmarks.asgi_server import stop_with_parent
from deployments.args import LlmArgs
from models import catalog
from models.engines.llama_cpp import parameters
from models.settings import ModelSettings
from models.weights import fetch


def main(port: int, args: LlmArgs) -> None:
    """Answer on that port of loopback until the process ends."""
    stop_with_parent()
    spec = catalog.load().spec(args.model)
    path = next(fetch(str(spec.weights), ModelSettings()).glob("*.gguf"))
    params = parameters(path, args.threads, args.parallel, spec.context_tokens, spec.chat_template)
    params.n_threads_http = xllamacpp.CommonParams().n_threads_http
    params.hostnames = ["127.0.0.1"]
    params.port = port
    server = xllamacpp.Server(params)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while server.listening_address:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), LlmArgs.model_validate_json(sys.argv[2]))
