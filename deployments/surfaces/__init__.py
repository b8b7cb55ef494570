"""Wire <-> values, pure: no I/O, no clock beyond what is passed in. One file per surface.

chat.py         /v1/chat/completions, OpenAI's shape
embeddings.py   /v1/embeddings
models_list.py  /v1/models
"""
