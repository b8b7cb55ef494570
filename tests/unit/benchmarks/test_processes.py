import os

from benchmarks.processes import TICKS_PER_S, called, cpu_s, memory, parse_cpu_s, snapshot, spent_s, withheld_s


def test_a_title_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    stat = "812 (ray::Serve (x) y) S 1 812 812 0 -1 4194560 9 0 0 0 250 50 7 8 20 0 9 0 100 0 0"
    assert parse_cpu_s(stat) == 300 / os.sysconf("SC_CLK_TCK")


def test_work_of_this_process_is_seen() -> None:
    before = snapshot([os.getpid()])
    began = cpu_s(os.getpid())
    assert began is not None
    while (cpu_s(os.getpid()) or 0.0) - began < 0.03:
        sum(range(10_000))
    (spent,) = spent_s(before, snapshot([os.getpid()])).values()
    assert 0.03 <= spent < 10


def test_spent_time_adds_up_by_name_and_counts_a_new_process_whole() -> None:
    before = {1: ("HAProxy", 2.0), 2: ("replica gateway", 5.0), 4: ("gone", 9.0)}
    after = {1: ("HAProxy", 2.5), 2: ("replica gateway", 7.0), 3: ("HAProxy", 0.25)}
    assert spent_s(before, after) == {"replica gateway": 2.0, "HAProxy": 0.75}


def test_a_process_that_is_gone_has_no_time() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert cpu_s(pid) is None
    assert snapshot([pid]) == {}
    assert memory([pid]) == []


def test_memory_of_processes_with_one_name_is_added_up() -> None:
    (found,) = memory([os.getpid(), os.getpid()])
    assert found.processes == 2
    assert found.bytes > 2 * 5_000_000


def test_processes_have_names_that_a_reader_knows() -> None:
    assert called("ray::ServeReplica:smollm2-135m-instruct:llm") == "replica smollm2-135m-instruct"
    assert called("ray::HAProxyManager.run") == "HAProxyManager"
    assert called("ray::ServeController") == "Serve controller"
    assert called("haproxy") == "HAProxy"
    assert called("postgres: checkpointer") == "PostgreSQL"
    assert called("python dashboard.py") == "Ray: dashboard, agents"
    assert called("something else") == "something else"


def test_what_the_hypervisor_withheld_is_the_eighth_count_of_proc_stat(tmp_path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  1712825 500038 279056 2373136 10852 0 18471 293498 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    assert withheld_s(stat) == 293498 / TICKS_PER_S
