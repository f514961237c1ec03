"""Steps of a response that came without a record."""

from assay.records import ModelStep, ToolStep
from assay.signal.given import steps_of_mask


def test_each_run_of_the_mask_is_a_step():
    said = "".join
    made = list(
        steps_of_mask(
            [0, 1, 2, 3, 4],
            [1, 1, 0, 1, 1],
            lambda ids: said(chr(97 + each) for each in ids),
            [-1.0, -2.0, 0.0, -3.0, -4.0],
        )
    )
    assert made == [
        ModelStep(text="ab", token_ids=(0, 1), logprobs=(-1.0, -2.0)),
        ToolStep(text="c", token_ids=(2,)),
        ModelStep(text="de", token_ids=(3, 4), logprobs=(-3.0, -4.0)),
    ]
    assert list(steps_of_mask([7], [0], str)) == [ToolStep(text="(7,)", token_ids=(7,))]
    assert list(steps_of_mask([7], [1], str)) == [ModelStep(text="(7,)", token_ids=(7,))]
    assert list(steps_of_mask([], [], str)) == []
