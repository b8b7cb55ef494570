"""Files in -> files out, on Ray Data.

transcribe.py  the job: list -> decode -> hear -> gather -> write; `python -m jobs.transcribe --help`
pipeline.py    its stages on Ray Data, the one file that knows Ray
rows.py        columns, dtypes and units at each boundary between stages
files.py       which files a job reads; names of what it writes; atomic writes
containers.py  what an audio file says about its own length
stages/        callable classes, one each
gather.py      heard pieces -> whole recordings
desk.py        where pieces become files: gather, write, count
formats.py     recording -> JSON, SRT, VTT, TXT
tally.py       counts, the time that is left, the words at the end
progress.py    what a job says while it runs and when it ends, as lines of its log
start.py       submits through Ray Jobs, follows, stops, lists
settings.py    where a job runs, read from the environment once
errors.py      the error tree's fourth family
"""
