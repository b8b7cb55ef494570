"""Callable classes, one stage each; a class states its columns in its docstring.

decode.py  audio file -> pieces of float32 mono 16 kHz (PyAV)
hear.py    piece -> transcript (a Transcriber)
write.py   recording -> JSON, SRT, VTT, TXT beside each other, atomically; a bad input -> its note in quarantine
worker.py  what each stage's process owes its machine: niceness, and a count of attempts
"""
