"""One file per engine; each imports what it needs inside its constructor.

llama_cpp.py          GGUF models in this process, llama.cpp behind `xllamacpp`
openai.py             any OpenAI-shaped server over HTTP: our own local LLM applications, vLLM, vendors
openai_wire.py        its wire: values -> request, chunks -> events; pure
openvino_embedder.py  sentence embeddings without torch (base install)
bert_graph.py         its graph, built from the official safetensors
token_batches.py      texts of like length into batches of bounded size
sentence_embedder.py  sentence-transformers (extra `torch`)
whisper.py            speech to text through faster-whisper
"""
