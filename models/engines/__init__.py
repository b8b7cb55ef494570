"""One file per engine; each imports what it needs inside its constructor.

llama_cpp.py          GGUF models in this process, llama.cpp behind `xllamacpp`
openai.py             any OpenAI-shaped server over HTTP: our own local LLM applications, vLLM, vendors
openvino_embedder.py  sentence embeddings without torch (base install)
sentence_embedder.py  sentence-transformers (extra `torch`)
whisper.py            speech to text through faster-whisper
"""
