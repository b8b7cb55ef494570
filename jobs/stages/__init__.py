"""Callable classes, one stage each; a class states its columns in its docstring.

decode.py  audio bytes -> float32 mono 16 kHz (PyAV)
hear.py    audio -> transcript (a Transcriber)
write.py   transcript -> JSON, SRT, VTT, TXT beside each other, atomically
"""
