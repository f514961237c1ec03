import io

from rich.console import Console

from assay.records import Trajectory
from assay.rollout import Progress


def attempt(group: str, outcome: float | None) -> Trajectory:
    return Trajectory(id=group, task=group, group=group, outcome=outcome)


def test_line_says_rate_reward_dead_share_and_time_left() -> None:
    now = [0.0]
    bar = Progress(100, "steps", console=Console(file=io.StringIO()), clock=lambda: now[0])
    with bar:
        now[0] = 4.0
        bar.advance(10)
        for group, outcome in zip("aabbcdd", (1.0, 0.0, 0.0, 0.0, None, 1.0, 1.0), strict=True):
            bar.seen(attempt(group, outcome))
        # 10 in 4 s is 2.5 a second, so 90 take 36 s; all of b fail, all of d pass: two of three
        assert bar.line() == "10/100 steps  2.5 steps/s  reward 0.500  dead 67%  0:36 left"


def test_before_anything_is_done_no_rate_is_made_up() -> None:
    now = [0.0]
    bar = Progress(100, "tokens", console=Console(file=io.StringIO()), clock=lambda: now[0])
    with bar:
        now[0] = 4.0
        assert bar.line() == "0/100 tokens"
        bar.reached(40)
        assert bar.line() == "40/100 tokens  10.0 tokens/s  0:06 left"
        bar.reached(110)  # 110 in 4 s, and past the end
        assert bar.line() == "110/100 tokens  27.5 tokens/s  0:00 left"


def test_nothing_is_drawn_where_nobody_watches() -> None:
    out = io.StringIO()
    with Progress(2, "steps", console=Console(file=out)) as bar:
        bar.advance()
    assert out.getvalue() == ""


def test_off_a_terminal_the_line_is_printed_now_and_then() -> None:
    now, out = [0.0], io.StringIO()
    with Progress(4, "steps", console=Console(file=out), clock=lambda: now[0]) as bar:
        for second in (20.0, 31.0, 45.0, 62.0):
            now[0] = second
            bar.advance()
    assert [line.split("  ")[0] for line in out.getvalue().splitlines()] == [
        "2/4 steps",
        "4/4 steps",
    ]


def test_slow_work_is_told_in_seconds_each() -> None:
    now = [0.0]
    bar = Progress(2000, "steps", console=Console(file=io.StringIO()), clock=lambda: now[0])
    with bar:
        now[0] = 20.0
        bar.advance(10)
        assert bar.line() == "10/2,000 steps  2.0 s each  1:06:20 left"
