"""A failure that repeats itself fills no disk."""

from uncork.edge.reporting import BURST, PER_SECOND, Reporter


def test_lines_beyond_the_limit_are_counted() -> None:
    said: list[str] = []
    report = Reporter(said.append)
    for number in range(BURST + 90):
        report(f"line {number}")
    assert said == [f"line {number}" for number in range(BURST)]
    report.tick()
    assert said[BURST:] == ["… and 90 more lines in the last second"]


def test_a_failure_that_lasts_is_told_some_times_a_second() -> None:
    said: list[str] = []
    report = Reporter(said.append)
    for _ in range(BURST):
        report("at first")
    for _ in range(3):
        report.tick()
        said.clear()
        for _ in range(500):
            report("again")
        assert said == ["again"] * PER_SECOND


def test_a_line_now_and_then_is_always_said() -> None:
    said: list[str] = []
    report = Reporter(said.append)
    for _ in range(5 * BURST):
        report("one")
        report.tick()
    assert said == ["one"] * 5 * BURST
