from pathlib import Path

import pytest

from benchmarks.__main__ import MORE, TABLES, main


def test_help_names_every_table(capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in TABLES)
    assert all(f"  {name}" in MORE for name in TABLES)


@pytest.mark.parametrize("wrong", [["cached"], ["--rounds", "0"], ["--seconds", "1.5"]])
def test_a_wrong_command_line_says_so_and_starts_nothing(wrong, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert wrong[-1] in capsys.readouterr().err


def test_every_table_has_its_file() -> None:
    room = Path(__file__).parents[3] / "benchmarks"
    assert all((room / f"{name}.py").exists() for name in TABLES)
