import pytest
import typer

from becoming_one import errors
from becoming_one.cli.main import app, explain
from models.errors import UnknownModel
from stores.errors import StoreUnavailable


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (errors.InvalidRequest("Say something."), "Say something.", 2),
        (errors.Unauthenticated("No key.", 401), "No key.", 1),
        (errors.Unreachable("Nothing answers."), "Nothing answers.", 1),
        (errors.ServerFailed("It failed.", 500, "internal_error", "req_1"), "It failed. (request req_1)", 1),
        (UnknownModel("x", ("a", "b")), "There is no role or model 'x' here. Use one of: a, b.", 2),
        (StoreUnavailable("PostgreSQL", "refused"), "PostgreSQL is not available: refused", 1),
        (FileNotFoundError(2, "No such file or directory", "talk.wav"), "talk.wav: No such file or directory.", 1),
        (typer.Abort(), "Stopped; nothing was changed.", 1),
    ],
)
def test_every_error_is_one_sentence_and_an_exit_code(error, sentence, code) -> None:
    assert explain(error) == (sentence, code)


def test_a_fault_of_ours_says_that_it_is_ours_and_how_to_see_more() -> None:
    sentence, code = explain(ZeroDivisionError("division by zero\nsecond line"))
    assert code == 1
    assert sentence.startswith("This is a fault in becoming-one itself: ZeroDivisionError: division by zero")
    assert "--debug" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("path", [[], ["keys"], ["jobs"], ["jobs", "submit"]])
def test_a_group_without_a_command_answers_with_its_help(path) -> None:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, path)
    assert result.exit_code == 0
    assert "Commands:" in result.output


def test_every_command_teaches_by_example() -> None:
    from becoming_one.cli.reference import page

    for section in page().split("\n## ")[1:]:
        name = section.splitlines()[0]
        assert "Commands:" in section or "Example" in section, f"{name} has no example"


def test_help_fits_a_terminal() -> None:
    from becoming_one.cli.reference import page

    assert [line for line in page().splitlines() if len(line) > 120] == []
