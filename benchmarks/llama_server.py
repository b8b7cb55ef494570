"""The HTTP server that xllamacpp itself ships (llama.cpp's), with the parameters of our application: a baseline.

What models/engines/llama_cpp.py sets on the engine is set here too; only the door is another.

    python -m benchmarks.llama_server PORT ARGS       ARGS: deployments.args.LlmArgs as JSON
"""

import signal
import sys

import xllamacpp

from benchmarks.asgi_server import stop_with_parent
from deployments.args import LlmArgs
from models import catalog
from models.settings import ModelSettings
from models.weights import fetch


def main(port: int, args: LlmArgs) -> None:
    """Answer on that port of loopback until the process ends."""
    stop_with_parent()
    spec = catalog.load().spec(args.model)
    params = xllamacpp.CommonParams()
    params.model.path = str(next(fetch(str(spec.weights), ModelSettings()).glob("*.gguf")))
    params.n_parallel = args.parallel
    params.n_ctx = args.parallel * spec.context_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.verbosity = 0
    params.cache_ram_mib = 0
    if spec.chat_template is not None:
        params.chat_template = spec.chat_template
    params.hostnames = ["127.0.0.1"]
    params.port = port
    server = xllamacpp.Server(params)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while server.listening_address:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), LlmArgs.model_validate_json(sys.argv[2]))
