"""What this costs, measured beside a baseline in the same run: `python -m benchmarks --help`.

__main__.py       runs tables, prints them, writes docs/benchmarks.md
  tables          cached_chat · uncached_chat · streaming · embeddings · local_llm · startup, one file each
  baselines       bare_server (uvicorn doing a cache hit's work) · mock_upstream (an instant vendor) · llama_server
  harness         grounds, cluster (ours, in a temporary home) · serving, asgi_server (a baseline's process)
                  load, client, prompts (who asks what) · processes, measure, effort (who spent what, in rounds)
                  report, hardware (the page)

A figure is CPU time per item over all processes of the cluster, or items per second where an engine is the limit. Both
sides run in turn, A B A B, and a cell shows the median with the lowest and highest round. Nothing here passes or fails
by time: whoever reads compares. What fails a table is an answer that is not a 2xx, or not the one that it is about.
"""
