"""Steps that were not sampled for their trajectory, as examples of a prompt, in a real browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assay.records import Call, ModelStep, Trajectory, UserStep
from tests.report.conftest import Visit
from tests.report.samples import report_of

pytestmark = pytest.mark.chromium

Start = Callable[..., Visit]
EXAMPLE = Call(name="look", arguments="{}")
WHY = (
    "No gradient may flow here: it was not sampled for this trajectory: it is part of the prompt, "
    "or counts where it was made."
)


def few_shot(number: int, *, tokens: bool) -> Trajectory:
    """Asked after an example of four characters, or three tokens, with a call; two in answer."""
    ids: Callable[[int, int], dict[str, Any]] = lambda a, b: (  # noqa: E731
        {"token_ids": tuple(range(a, b))} if tokens else {}
    )
    return Trajectory(
        id=f"t/{number}",
        task="t",
        group="t",
        outcome=1.0 - number,
        end="answered",
        steps=(
            UserStep(text="2+2?", **ids(0, 4)),
            ModelStep(text="four", calls=(EXAMPLE,), untrainable="copied", **ids(4, 7)),
            UserStep(text="1+2?", **ids(7, 11)),
            ModelStep(text="3!", **ids(11, 13)),
        ),
    )


@pytest.fixture(scope="module", params=[False, True], ids=["characters", "tokens"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    records = [few_shot(number, tokens=request.param) for number in range(2)]
    return report_of(records, tmp_path_factory.mktemp("few") / "report.html")


def test_a_copied_step_has_no_fate_and_no_colour(made: Any, visit: Start):
    seen = visit().open(made[0], "#/trajectory/1?step=1")
    card, box = seen.page.locator("#step-1"), seen.page.locator(".inspector")
    assert card.locator(".run").first.get_attribute("class") == "run masked"
    assert "none" in str(card.get_attribute("class")).split()
    assert WHY in card.inner_text()
    assert f"No advantage. {WHY}" in box.inner_text()
    assert "Not the policy's." in box.inner_text()
    assert box.locator("table").count() == 0
    card.locator("details.call summary").click()
    card.locator("details.call").hover()
    assert "n5" in str(seen.page.locator("#step-3 .run").first.get_attribute("class"))
    seen.page.locator("#step-3").focus()
    assert "Trained down under grpo." in box.inner_text()
    assert seen.page.locator(".overview a").evaluate_all(
        "all => all.map((each) => each.className)"
    ) == ["cell none", "cell n5 chosen"]
    for address in (
        "#/trajectory/1?with=0",
        "#/group/0",
        "#/group/0?align=calls",
        "#/groups",
        "#/waste",
    ):
        seen.go(address)
        assert "undefined" not in seen.text
        assert "NaN" not in seen.text
    assert seen.errors == []


def test_what_is_shown_of_a_group_counts_own_steps_alone(made: Any, visit: Start):
    page, audit = made
    seen = visit().open(page, "#/groups")
    assert seen.page.locator(".row:not(.head) .c-steps").inner_text() == "1"
    seen.go("#/claims?cell=silent_failed")
    assert "1 step " in seen.page.locator(".samples li").inner_text()
    # two of each: one trained up, one trained down, and nothing else
    unit = audit["measure"]
    written = {kind: row[unit] for kind, row in audit["fate"].items() if row[unit]}
    assert written == {"trained_up": 2, "trained_down": 2}
    seen.go("#/waste")
    shares = "all => all.map((each) => each.title)"
    assert seen.page.locator(".stacked i").evaluate_all(shares) == [
        "Trained up: 50 %",
        "Trained down: 50 %",
    ]
