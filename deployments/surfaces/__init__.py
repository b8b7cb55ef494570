"""Wire <-> values, pure: no I/O, no clock beyond what is passed in. One file per surface.

wire.py         what all of them share: fields are known or refused, and what is wrong is said with its path
chat.py         /v1/chat/completions, OpenAI's shape
chat_wire.py    its request, typed
embeddings.py   /v1/embeddings
models_list.py  /v1/models
"""
