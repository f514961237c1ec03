"""What every registered method must be; a new one is tested by being named."""

import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from assay.batch import Batch
from assay.credit import METHODS, credit, method
from assay.credit.base import Method
from assay.credit.facts import FACTS
from assay.errors import UnknownNameError, UsageError
from tests.credit.test_contract import WORLD

ROOT = Path(__file__).parents[2]
HEADINGS = [
    "Usage",
    "What it computes",
    "Where it differs from the paper",
    "Failure modes and evidence",
]


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_is_pure_and_complete(name):
    by = method(name)
    before = {f.name: np.copy(getattr(WORLD, f.name)) for f in dataclasses.fields(Batch)}
    first, second = credit(WORLD, by), by(WORLD)
    for field, values in before.items():
        np.testing.assert_array_equal(
            getattr(WORLD, field), values, err_msg=f"{name} wrote {field}"
        )
    np.testing.assert_array_equal(first.total, second.total)
    assert first.advantage_N.size == WORLD.length_R.sum()
    assert first.carried.size == first.total.size
    assert not np.isinf(first.total).any(), "unscored is NaN; infinity is a bug"
    assert len({term.name for term in by.terms(WORLD)}) == len(first.parts) >= 1


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_is_frozen_final_and_documented(name):
    cls = METHODS.get(name)
    assert issubclass(cls, Method)
    assert cls.name == name
    methods = {METHODS.get(other) for other in METHODS.names()}
    assert not methods & {*cls.__mro__[1:]}, "methods are not subclassed"
    assert getattr(cls, "__final__", False)
    for attribute in ("source", "value", "unit", "peers", "carried", "scaling"):
        assert getattr(cls, attribute), attribute
    assert set(cls.needs) <= set(FACTS)
    assert re.search(r"arXiv:\d{4}\.\d{5}|doi:", cls.source)
    assert re.search(r"https://arxiv.org/abs/|1992", cls.__doc__)
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        cls().unheard_of = 1


@pytest.mark.parametrize("name", METHODS.names())
def test_every_option_has_a_docstring(name):
    cls = METHODS.get(name)
    body = "".join(inspect.getsource(each) for each in cls.__mro__ if each.__module__ != "builtins")
    for field in dataclasses.fields(cls):
        assert re.search(rf'^    {field.name}: [^\n]+\n    """', body, re.M), field.name


@pytest.mark.parametrize("name", METHODS.names())
def test_no_option_is_called_as_a_key_of_recipes(name):
    assert not {f.name for f in dataclasses.fields(METHODS.get(name))} & {"name", "like", "weight"}


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_has_a_page_of_four_headings(name):
    page = (ROOT / "docs" / "methods" / f"{name}.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.M) == HEADINGS
    assert METHODS.get(name).source.split(", ")[-1].removeprefix("arXiv:") in page
    for field in dataclasses.fields(METHODS.get(name)):
        assert f"`{field.name}`" in page, f"{name} does not say what {field.name} does"


def test_no_page_without_its_method():
    pages = {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")}
    assert pages == set(METHODS.names())


def test_every_page_is_in_the_table_of_which_when():
    table = (ROOT / "docs" / "methods.md").read_text()
    assert set(re.findall(r"\(methods/(\w+)\.md\)", table)) == set(METHODS.names())


def test_the_issue_s_methods_are_all_there():
    asked = (
        "grpo dr_grpo rloo max_rl pass_at_k quantile reinforce psr nsr w_reinforce grpo_positive "
        "grpo_negative ngrpo avspo ebpo rl_zvp lens asym_re unlikeliness toolpo gigpo mt_grpo"
    )
    assert set(asked.split()) <= set(METHODS.names())


def test_options_come_as_values_or_as_text():
    assert method("grpo", ddof=0).ddof == 0
    assert method("grpo", ddof="0").ddof == 0
    assert method("grpo", cap="inf").cap == float("inf")
    assert method("nsr", pass_at="0.5").pass_at == 0.5
    assert method("ebpo", mu=None).mu is None


def test_options_are_checked():
    with pytest.raises(UnknownNameError, match=r"grpo has no option 'dof'. Did you mean 'ddof'\?"):
        method("grpo", dof=0)
    with pytest.raises(UnknownNameError, match="has no option 'source'"):
        method("grpo", source="mine")  # a class attribute is no option
    with pytest.raises(UnknownNameError, match=r"no method 'grop'. Did you mean 'grpo'\?"):
        method("grop")
    with pytest.raises(UsageError, match="Invalid enum value 'root'"):
        method("grpo", scale="root")
    with pytest.raises(UsageError, match="ddof must be 0 or 1; got 3"):
        method("grpo", ddof=3)
