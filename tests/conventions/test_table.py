"""The table of conventions: every number derived by hand, and the page printed from the code."""

from pathlib import Path

import numpy as np
import pytest

from assay.credit import METHODS, method
from assay.credit.conventions import rows, table
from assay.credit.presets import PRESETS
from assay.errors import UnknownNameError
from tests.credit.worlds import group, per_trajectory

PAGE = Path(__file__).parents[2] / "docs" / "conventions.md"
# outcomes 1 0 0 0: mean 1/4, centred 3/4 and -1/4; sum of squares 9/16 + 3 * 1/16 = 3/4
SAMPLE, POPULATION = (0.75 / 3) ** 0.5, (0.75 / 4) ** 0.5  # deviations .5 and .433013


def of_batch(values, mean, variance):
    """A success, a failure and the lone one, centred and divided over the batch; eps is verl's."""
    success, failure, *_, lone = ((v - mean) / (variance + 1e-8) ** 0.5 for v in values)
    return success, failure, lone


EXPECTED = {
    ("grpo", "trl"): (0.75 / (SAMPLE + 1e-4), -0.25 / (SAMPLE + 1e-4), 0.0),
    ("grpo", "verl"): (0.75 / (SAMPLE + 1e-6), -0.25 / (SAMPLE + 1e-6), 1 / (1 + 1e-6)),
    ("grpo", "rllm"): (0.75 / (POPULATION + 1e-6), -0.25 / (POPULATION + 1e-6), 1 / (1 + 1e-6)),
    ("grpo", "prime-rl"): (0.75, -0.25, 0.0),
    ("grpo", "nanochat"): (0.75, -0.25, 0.0),
    ("dr_grpo", "trl"): (0.75, -0.25, 0.0),
    ("dr_grpo", "verl"): (0.75, -0.25, 1.0),
    ("rloo", "trl"): (1.0, -1 / 3, 0.0),
    ("rloo", "verl"): (1.0, -1 / 3, 1.0),
    ("rloo", "rllm"): (1.0, -1 / 3, 1.0),
    ("opo", "verl"): (0.75, -0.25, 1.0),  # of equal lengths: the mean
    # two of five outcomes are not 0: 5/2 of each
    ("gpg", "verl"): (1.875, -0.625, 2.5),
    # five of one token, 1 0 0 0 1: mean 2/5, squares 2 * 9/25 + 3 * 4/25 = 6/5, over 4: 3/10
    ("reinforce_plus_plus", "verl"): of_batch([1, 0, 0, 0, 1], 0.4, 0.3),
    # 3/4, three times -1/4, and 1: mean 1/5, squares .3025 + 3 * .2025 + .64 = 1.55, over 4
    ("reinforce_plus_plus_baseline", "verl"): of_batch([0.75, *[-0.25] * 3, 1], 0.2, 1.55 / 4),
    # grpo's 1.5 -0.5 -0.5 -0.5 1, but for eps: mean 1/5, squares 1.69 + 3 * .49 + .64 = 3.8, over 4
    ("gdpo", "verl"): of_batch([1.5, *[-0.5] * 3, 1], 0.2, 0.95),
    ("grpo_passk", "verl"): (1 / (SAMPLE + 1e-6), 0.0, 0.0),
    ("max_rl", "prime-rl"): (3.0, -1.0, 0.0),
}


def test_every_preset_gives_its_engine_s_number():
    found = {(r["method"], r["like"]): (r["success"], r["failure"], r["lone"]) for r in rows()}
    assert found.keys() == EXPECTED.keys()
    for key, expected in EXPECTED.items():
        rtol = 3e-6 if key == ("gdpo", "verl") else 1e-12  # its first eps, 1e-6 in 0.5
        np.testing.assert_allclose(found[key], expected, rtol=rtol, err_msg=str(key))


def test_to_four_digits_as_people_know_them():
    four = {
        "trl": (1.4997, -0.4999),
        "verl": (1.50, -0.50),
        "rllm": (1.73, -0.58),
        "prime-rl": (0.75, -0.25),
        "nanochat": (0.75, -0.25),
    }
    batch = group([1.0, 0.0, 0.0, 0.0])
    for engine, (success, failure) in four.items():
        found = per_trajectory(batch, method("grpo", like=engine)(batch))
        digits = 4 if engine == "trl" else 2
        assert [round(a, digits) for a in found] == [success] + [failure] * 3


def test_the_page_is_what_the_code_prints():
    assert table() in PAGE.read_text()


def test_options_that_are_given_win():
    made = method("grpo", like="trl", ddof=0)
    assert (made.eps, made.ddof) == (1e-4, 0)


def test_a_preset_names_options_that_exist():
    for name, engines in PRESETS.items():
        assert name in METHODS.names()
        for engine, options in engines.items():
            assert method(name, like=engine) == method(name, **options)


def test_no_preset_is_an_error_that_helps():
    with pytest.raises(UnknownNameError, match=r"grpo has no preset 'vrl'. Did you mean 'verl'\?"):
        method("grpo", like="vrl")
    with pytest.raises(UnknownNameError, match=r"rloo has no preset 'nanochat'\. Known: trl, verl"):
        method("rloo", like="nanochat")
    with pytest.raises(UnknownNameError, match="nsr has no presets; methods that have: grpo"):
        method("nsr", like="trl")
