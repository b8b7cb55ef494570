"""One file per engine; each imports what it needs inside its constructor.

llama_cpp.py          GGUF models in this process, llama.cpp behind `xllamacpp`
http_generator.py     any model over HTTP: one pooled session, a stream of events back; knows no dialect
openai.py             OpenAI's dialect: our own local LLM applications, vLLM, vendors
openai_wire.py        its wire: values -> request, chunks -> events; pure
anthropic.py          Anthropic's dialect
anthropic_wire.py     its wire
openvino_embedder.py  sentence embeddings without torch (base install)
bert_graph.py         its graph, built from the official safetensors
token_batches.py      texts of like length into batches of bounded size
sentence_embedder.py  sentence-transformers (extra `torch`)
whisper.py            speech to text through faster-whisper
"""
