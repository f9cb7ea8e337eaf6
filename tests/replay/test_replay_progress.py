"""Long work says how far it has come and how long it will still take, where somebody sits before it."""

import io

from ltv_guard.cli.replay_progress import Progress


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_after_the_first_step_it_tells_the_time_that_is_left() -> None:
    screen, times = Screen(), iter([0, 0, 10, 10, 20, 20])
    tell = Progress(screen, lambda: next(times)).of("survival: start")
    tell(1, 20)
    tell(2, 20)
    tell(3, 20)
    lines = [line.strip() for line in screen.getvalue().split("\r") if line]
    assert lines == [
        "survival: start 1 of 20",
        "survival: start 2 of 20, 3 min 10 s left",
        "survival: start 3 of 20, 3 min 0 s left",
    ]


def test_it_writes_no_more_often_than_an_eye_reads_and_clears_its_line_at_the_end() -> None:
    screen, now = Screen(), [0.0]
    progress = Progress(screen, lambda: now[0])
    for number in range(1, 1_000):
        progress.tries("least wallet")(number)
    assert screen.getvalue().count("\r") == 1
    progress.end()
    assert screen.getvalue().endswith("\r")
    assert screen.getvalue().rstrip().endswith("try 1")


def test_a_file_is_told_nothing() -> None:
    silent = io.StringIO()
    Progress(silent).of("frontier: point")(1, 2)
    assert silent.getvalue() == ""
