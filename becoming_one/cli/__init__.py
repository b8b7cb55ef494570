"""The `becoming-one` command. main.py gathers the groups; each file parses, calls one room and prints.

main.py     the command itself: errors become one sentence and an exit code
laptop.py   up, down, status, logs
ask.py      ask, embed, models: through client.py, as any caller would
keys.py     keys create, list, revoke
jobs.py     jobs submit, list, logs, cancel
"""
