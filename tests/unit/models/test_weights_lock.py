"""The lock is parsed once, and refused with the place that is wrong."""

import pytest

from models.weights_lock import read_lock

DIGEST = "0" * 64
GOOD = f"""
[[model]]
name = "m"
licence = "MIT"
upstream = "x"
[[model.file]]
path = "a/model.bin"
bytes = 5
sha256 = "{DIGEST}"
sources = ["file:///a", ["file:///b", "file:///c"]]
"""


def lock(tmp_path, text):
    path = tmp_path / "weights.lock"
    path.write_text(text)
    return path


def test_a_source_is_one_address_or_the_parts_of_one_file(tmp_path) -> None:
    (row,) = read_lock(lock(tmp_path, GOOD)).rows

    assert (row.name, row.bytes) == ("m", 5)
    assert [[address.text for address in source] for source in row.files[0].sources] == [
        ["file:///a"],
        ["file:///b", "file:///c"],
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('path = "a/model.bin"', 'path = "../model.bin"', "leaves its folder"),
        ('path = "a/model.bin"', 'path = "/etc/passwd"', "leaves its folder"),
        ('name = "m"', 'name = ".verified"', "cannot name a folder"),
        ('name = "m"', 'name = "a/b"', "cannot name a folder"),
        ('name = "m"', 'name = ""', "leaves its folder"),
        (DIGEST, "sha1", "sha256"),
        ("bytes = 5", "bytes = -1", "bytes"),
        ('"file:///a"', '"ftp://a"', "no source"),
        ('["file:///b", "file:///c"]', "[]", "a source is"),
        ("licence", "license", "licence"),
        ("[[model]]", "[[model", "no TOML"),
    ],
)
def test_a_wrong_lock_names_the_place(tmp_path, before, after, said) -> None:
    path = lock(tmp_path, GOOD.replace(before, after))

    with pytest.raises(ValueError, match=said) as raised:
        read_lock(path)
    assert str(path) in str(raised.value)


def test_a_model_or_file_may_stand_there_once(tmp_path) -> None:
    with pytest.raises(ValueError, match="twice: m"):
        read_lock(lock(tmp_path, GOOD + GOOD))
    file = GOOD[GOOD.index("[[model.file]]") :]
    with pytest.raises(ValueError, match=r"twice: a/model\.bin"):
        read_lock(lock(tmp_path, GOOD + file))
