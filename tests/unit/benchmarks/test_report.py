from benchmarks import hardware, report
from benchmarks.report import Table

TABLE = Table("Cached", "CPU ms.", ("conn.", "ours"), [("1", "0.2"), ("16", "0.131 (0.12)")], ["a note"])


def test_a_table_is_aligned_markdown() -> None:
    assert report.markdown(TABLE).splitlines() == [
        "### Cached",
        "",
        "CPU ms.",
        "",
        "| conn. | ours         |",
        "|-------|--------------|",
        "| 1     | 0.2          |",
        "| 16    | 0.131 (0.12) |",
        "",
        "- a note",
    ]


def test_sections_that_were_not_measured_stay_on_the_page(tmp_path) -> None:
    page, order = tmp_path / "docs" / "benchmarks.md", ("first", "second")
    report.write(page, {"second": report.section("Second", "a machine", [TABLE])}, order)
    report.write(page, {"first": "## First\n\nnew"}, order)
    report.write(page, {"first": "## First\n\nnewer"}, order)
    text = page.read_text()
    assert text.startswith("# Benchmarks")
    assert text.index("newer") < text.index("## Second")
    assert text.count("## First") == 1
    assert set(report.read(text)) == {"first", "second"}
    assert "a machine" in report.read(text)["second"]


def test_the_processor_is_named_without_its_trademarks() -> None:
    assert hardware.cpu_model("processor\t: 0\nmodel name\t: Intel(R) Xeon(R)  Processor @ 2.80GHz\n") == (
        "Intel Xeon Processor @ 2.80GHz"
    )
    assert hardware.cpu_model("processor\t: 0\n")
