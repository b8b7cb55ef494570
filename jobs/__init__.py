"""Files in -> files out, on Ray Data.

transcribe.py  the job: list -> decode -> hear -> write; `python -m jobs.transcribe --help`
rows.py        columns, dtypes and units at each boundary between stages
files.py       which files a job reads; names of what it writes; atomic writes
formats.py     Transcript -> JSON, SRT, VTT, TXT
start.py       submits through Ray Jobs and follows
stages/        callable classes, one each
"""
