"""The benchmark's arithmetic, and its reading of CPU time from processes that really spent some."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from bench.report import Entry, Figures

from bench import load, measure, report

TITLES = {"uncork": "Uncork", "nginx": "nginx", "varnish": "Varnish"}
WORKLOADS = {"static-1k": "Static file of 1 KiB", "idle-static": "Idle connections"}


def cost(user: float, system: float) -> Figures:
    return Figures(
        requests=1000, rate=1e5, user=user, system=system, p50=500, p99=12_000, server_busy=1, load_busy=0.5
    )


# Ratios


def test_a_ratio_is_taken_within_each_round_and_then_the_median() -> None:
    # The machine was twice as slow in round 2: a ratio of medians would compare a slow round with a fast one.
    mine = {1: cost(2, 6), 2: cost(4, 12), 3: cost(2, 8)}
    theirs = {1: cost(2, 8), 2: cost(4, 16), 3: cost(2, 6)}
    assert report.ratio(mine, theirs) == pytest.approx(0.8)


def test_a_ratio_needs_a_round_in_which_both_took_part() -> None:
    assert report.ratio({1: cost(2, 6)}, {2: cost(2, 8)}) is None
    assert report.ratio({1: cost(2, 6)}, {}) is None
    assert report.ratio({1: cost(2, 6)}, {1: cost(0, 0)}) is None


def test_memory_is_compared_by_pss() -> None:
    mine, theirs = (
        Figures(requests=10, pss=3000.0, private=1.0),
        Figures(requests=10, pss=6000.0, private=1.0),
    )
    assert report.ratio({1: mine}, {1: theirs}) == pytest.approx(0.5)


def test_the_middle_is_the_median_of_each_figure_and_keeps_what_was_not_measured_absent() -> None:
    middle = report.middle([cost(1, 9), cost(3, 5), cost(2, 7)])
    assert (middle.user, middle.system, middle.pss) == (2, 7, None)
    assert middle.requests == 3000


# Layout


def results() -> report.Results:
    return {
        "static-1k": {
            "uncork": Entry({1: cost(2, 6)}),
            "nginx": Entry({1: cost(2, 8)}),
            "varnish": Entry(reason="serves no files"),
        },
        "idle-static": {
            "uncork": Entry({1: Figures(requests=5000, pss=3072.0, private=2048.0)}),
            "nginx": Entry(reason="port taken", failed=True),
            "varnish": Entry(reason="serves no files"),
        },
    }


def test_the_page_has_figures_ratios_and_reasons() -> None:
    page = report.markdown(results(), WORKLOADS, TITLES, {"Machine": "two cores"})
    assert "- Machine: two cores" in page
    assert "| [Static file of 1 KiB](#static-1k) | 8.0 µs | 10.0 µs | – |" in page
    assert "| Uncork | 8.0 (2.0 + 6.0) | 100,000 | 500 µs | 12.0 ms | 100% | 50% | 0.80 | – |" in page
    assert "| Uncork | 3.00 | 2.00 | – | – |" in page
    assert "Varnish: serves no files." in page
    assert "nginx: failed: port taken" in page


def test_the_json_has_every_round() -> None:
    told = json.loads(json.dumps(report.as_json(results(), {})))
    assert told["results"]["static-1k"]["uncork"]["rounds"]["1"]["user"] == 2
    assert told["results"]["static-1k"]["uncork"]["ratios"] == {"nginx": pytest.approx(0.8), "varnish": None}
    assert told["results"]["idle-static"]["nginx"]["failed"] is True


# CPU time

SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"

# Spends 0.2 s itself, has a child that spends 0.2 s and is waited for, says so, stays until its input ends.
PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {SPIN.format(seconds=0.2)!r}], check=True)
{SPIN.format(seconds=0.2)}
print("spent", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def spender() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"spent\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_cpu_time_counts_a_process_and_its_finished_child(spender: subprocess.Popen[bytes]) -> None:
    spent = measure.cpu_time([spender.pid])
    # Twice 0.2 s, what two interpreters need to start, and a tick of rounding for each of four numbers.
    assert 0.4 - 4 / measure.TICKS <= spent.total < 3
    assert spent.user > 0


def test_cpu_time_counts_live_descendants(spender: subprocess.Popen[bytes]) -> None:
    own = measure.cpu_time([os.getpid()])
    assert spender.pid in measure.tree([os.getpid()])
    assert own.total >= measure.cpu_time([spender.pid]).total


def test_nothing_is_read_of_a_process_that_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert measure.tree([child.pid]) == []
    assert measure.cpu_time([child.pid]) == measure.CpuTime(0, 0)
    assert measure.memory([child.pid]) == measure.Memory(0, 0)


def test_memory_of_a_live_process_is_private_for_the_most_part(spender: subprocess.Popen[bytes]) -> None:
    memory = measure.memory([spender.pid])
    assert 0 < memory.private <= memory.pss


# Request heads


def test_a_head_has_the_fourteen_lines_of_a_browser_and_two_of_them_differ() -> None:
    head = load.head("/static/1k/000.css", 8000)
    one, other = head.filled(100_000_001).split(b"\r\n"), head.filled(100_000_002).split(b"\r\n")
    assert one[-2:] == [b"", b""]
    assert len(one) == 1 + 14 + 2
    differing = [a.split(b":")[0] for a, b in zip(one, other, strict=True) if a != b]
    assert differing == [b"Referer", b"Cookie"]


def test_a_conditional_head_has_the_validator_as_the_server_spelled_it() -> None:
    request = load.head("/a", 8000, etag=b'W/"1"').filled(1)
    assert request.endswith(b'\r\nIf-None-Match: W/"1"\r\n\r\n')


def test_a_script_spells_any_byte() -> None:
    head = load.Head(b'GET /"\\', b"\r\n", b"\xff")
    assert '"GET /\\"' not in load.script([head], True, 1)
    assert '"GET /\\034\\092"' in load.script([head], True, 1)
    assert '"\\013\\010"' in load.script([head], True, 1)
    assert '"\\255"' in load.script([head], True, 1)
