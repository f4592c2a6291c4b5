"""What long work shows in a task's log."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_providers_leads.tasks.progress import Display, Progress, phase


class Log:
    """Keeps the lines of a task."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *values: Any) -> None:
        self.lines.append(message % values)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_phase_folds_what_is_logged_in_it_and_nothing_after() -> None:
    log = Log()
    with phase(log, "Read 100% of it"):
        log.info("within")
    log.info("after")
    assert log.lines == ["::group::Read 100% of it", "within", "::endgroup::", "after"]


def test_an_error_stands_outside_of_the_phase_that_it_ends() -> None:
    log = Log()
    with pytest.raises(KeyError), phase(log, "Read"):
        raise KeyError
    assert log.lines[-1] == "::endgroup::"


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (None, ["x: read 1500, 50 per second", "x: read 2500, 75 per second"]),
        (
            4000,
            [
                "x: read 1500 of 4000, 50 per second, about 50 s left",
                "x: read 2500 of 4000, 75 per second, about 20 s left",
            ],
        ),
    ],
)
def test_progress_is_told_every_ten_seconds_and_counts_from_where_it_began(total: Any, lines: list[str]) -> None:
    log, clock = Log(), Clock()
    progress = Progress(log, "x: read", total=total, done=1000, clock=clock)
    for now, done in ((109.9, 1400), (110.0, 1500), (115.0, 2000), (119.9, 2400), (120.0, 2500)):
        clock.now = now
        progress.at(done)
    assert log.lines == lines


def test_work_that_has_not_moved_is_told_without_a_division_by_zero() -> None:
    log, clock = Log(), Clock()
    progress = Progress(log, "x", total=5, clock=clock)
    clock.now += 10
    progress.at(0)
    assert log.lines[0].startswith("x 0 of 5, 0 per second, about ")


def test_a_display_is_told_each_time_and_only_while_it_draws() -> None:
    class Screen(Display):
        draws = True

        def __init__(self) -> None:
            self.drawn: list[Any] = []
            self.lines: list[str] = []

        def draw(self, what: str, done: int, total: int | None) -> None:
            self.drawn.append((what, done, total))

        def info(self, message: str, *values: Any) -> None:
            self.lines.append(message % values)

    screen, clock = Screen(), Clock()
    progress = Progress(screen, "x", total=5, clock=clock)
    progress.at(1)
    screen.draws = False
    clock.now += 10
    progress.at(2)
    assert screen.drawn == [("x", 1, 5)]
    assert len(screen.lines) == 1
