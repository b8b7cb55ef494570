"""`python -m becoming_one.cli`: the command where it is not installed."""

from becoming_one.cli.main import main

main()
