"""The `becoming-one` command. main.py gathers the groups; each file parses, calls one room and prints.

main.py       the command itself: errors become one sentence and an exit code
laptop.py     up, down, status, logs
up_view.py    how `up` is shown while it works
ask.py        ask, embed, models: through client.py, as any caller would
keys.py       keys create, list, revoke
jobs.py       jobs submit, list, watch, logs, cancel
job_view.py   how a job is shown while it runs, and its summary
command.py    typer's commands, at once and with help as it was written
terminal.py   what goes to stdout and what to stderr, tables, control characters
reference.py  docs/cli.md, from the commands' own help
"""
