"""What the demo's page says of its arms in words."""

from assay.demo.words import happened


def test_what_was_said_at_many_steps_is_one_line():
    skipped = "skipped: no token has an advantage"
    events = [f"step {n}: step {n} {skipped}" for n in (2, 3)]
    assert happened("grpo", [*events[:1], "step 2: the regime is off", *events[1:]]) == [
        f"grpo, steps 2, 3: {skipped}",
        "grpo, step 2: the regime is off",
    ]
    many = happened("a", [f"step {n}: step {n} {skipped}" for n in range(1, 16)])
    assert many == [f"a, steps 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more: {skipped}"]
    assert happened("a", []) == []
