"""A failure that repeats itself fills no disk."""

from uncork.edge.reporting import MOST_LINES, Reporter


def test_lines_beyond_the_limit_are_counted() -> None:
    said: list[str] = []
    report = Reporter(said.append)
    for number in range(MOST_LINES + 90):
        report(f"line {number}")
    assert said == [f"line {number}" for number in range(MOST_LINES)]
    report.tick()
    assert said[MOST_LINES:] == ["… and 90 more lines within a second"]


def test_each_second_has_its_own() -> None:
    said: list[str] = []
    report = Reporter(said.append)
    for _ in range(3):
        report("one")
        report.tick()
    assert said == ["one", "one", "one"]
