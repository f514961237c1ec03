"""Retrieval by meaning: what is found, in which order, and that nothing is fetched for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from assay.errors import DataError, MissingExtraError
from assay.skills import meaning
from assay.skills.bank import Bank
from assay.skills.block import block
from assay.skills.meaning import Meaning
from assay.skills.retrieval import NEAR, Index
from assay.skills.shelf import Shelf
from tests.rollout.fakes import Characters
from tests.skills.test_bank import skill

TASKS = {
    "refund a parcel that arrived damaged": "the customer wants her money back, the box was broken",
    "reset a forgotten password": "I cannot log in any more, I lost my credentials",
    "fix a failing unit test": "one check of the suite goes red since the last commit",
    "heat an apple in the microwave": "warm up a piece of fruit",
    "compute the area of a circle": "how many square metres does a round pond cover",
}


@pytest.fixture(scope="module")
def model() -> Meaning:
    pytest.importorskip("safetensors")
    try:
        return meaning.opened()
    except MissingExtraError:
        pytest.skip("needs the extra assay[embeddings]")


def bank(**more: Any) -> Bank:
    made = [skill(f"do {n}", when=when, **more) for n, when in enumerate(TASKS)]
    return Bank().merged(made, status="active")


@pytest.mark.usefixtures("model")
def test_a_task_in_other_words_finds_its_skill() -> None:
    by_meaning, by_words = (Index.of(bank(), by) for by in ("embedding", "bm25"))
    for when, asked in TASKS.items():
        assert by_meaning(asked, "c", least=0.0)[0].when == when
    near = [[each.when for each in by_meaning(asked, "c")] for asked in TASKS.values()]
    right = [[when] for when in TASKS]
    assert near == [right[0], right[1], [], right[3], right[4]], "one is too far to be shown"
    assert not any(by_words(asked, "c") for asked in TASKS.values()), "no word in common"


def test_a_vector_is_the_mean_of_its_tokens_of_length_one(model: Meaning, tmp_path: Path) -> None:
    """Against the package's own: in a process of its own, since it turns logging on."""
    texts = ["capital of the smallest neighbour", "count", "x y z " * 50]
    script = (
        "import json, sys, pathlib, wordllama\n"
        "here = pathlib.Path(wordllama.__file__).parent\n"
        "model = wordllama.WordLlama.load(disable_download=True, cache_dir=here)\n"
        "print(json.dumps(model.embed(json.loads(sys.argv[1]), norm=True).tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, json.dumps(texts)], cwd=tmp_path,
                          capture_output=True, timeout=120, check=True)  # fmt: skip
    np.testing.assert_allclose(model(texts), json.loads(done.stdout), atol=1e-6)
    assert not model([""]).any()
    # beside others or alone, a text is the same
    assert (model(texts)[1] == model(["count"])[0]).all()


@pytest.mark.usefixtures("model")
def test_equal_ones_are_in_the_order_of_ids_and_far_ones_are_left_out() -> None:
    same = [skill(f"n {n}", when="the same words", category="c") for n in range(9)]
    found = Index(same[::-1], "embedding")("the same words", "c", most=9)
    assert [each.id for each in found] == sorted(each.id for each in same)
    index = Index.of(bank(), "embedding")
    asked = "reset a forgotten password"
    assert len(index(asked, "c", least=-1.0)) >= len(index(asked, "c")) >= 1
    assert [each.when for each in index(asked, "c", least=0.99)] == [asked]
    assert index("zxqv kjw", "c", least=0.99) == ()
    assert Index([], "embedding")(asked, "c") == ()
    assert index("", "c") == (), "a task without words has no direction"


@pytest.mark.usefixtures("model")
def test_categories_and_the_budget_are_as_hard_as_by_words() -> None:
    made = [*bank().skills, skill("general", when="reset a password", category="")]
    known = Bank().merged(made, status="active")
    index = Index.of(known, "embedding")
    assert [each.principle for each in index("reset a password", "other")] == ["general"]
    shelf = Shelf.of(known, "line", Characters(), budget=9, retrieval="embedding")
    found = shelf.found("reset a password", "c")
    assert shelf.found("reset a password", "c") == found
    # "!do 1" and a line break are 6, "!general" and one are 9, both are 15
    assert [each.principle for each in found] == ["general"]
    assert shelf.count(block(found, "line")) <= 9
    assert len(Shelf.of(known, "line", Characters(), most=1, retrieval="embedding")
               .found("reset a password", "c")) == 1  # fmt: skip


def test_without_the_extra_it_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    meaning.opened.cache_clear()
    monkeypatch.setattr(meaning, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs wordllama.*assay\[embeddings\]"):
        Index.of(bank(), "embedding")
    assert Index.of(bank())("fix a test", "c", least=0.0), "by words nothing is needed of it"
    meaning.opened.cache_clear()


def test_a_package_without_its_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    with pytest.raises(DataError, match=r"l2_supercat_256.safetensors: not there"):
        Meaning(tmp_path)


HALF = "\ud800"


def test_half_a_surrogate_pair_ends_a_word_by_words_and_by_meaning(model: Meaning) -> None:
    """In a task or in a skill, alone or between words; nothing else of the text is lost."""
    asked = f"reset a{HALF}forgotten\udfff password"
    assert (model([asked]) == model(["reset a forgotten password"])).all()
    assert not model([HALF]).any()
    odd = [structs.replace(skill("odd"), when=asked, category="c"), *bank().active]
    for by in ("embedding", "bm25"):
        index = Index(odd, by)
        for text in (asked, "reset a forgotten password"):
            assert {"odd", "do 1"} <= {each.principle for each in index(text, "c")}
        assert index(HALF, "c") == ()


@pytest.mark.usefixtures("model")
def test_a_text_of_another_script_and_a_long_one_are_found_too() -> None:
    long = skill("long", when="password " * 150)
    strange = skill("strange", when="\N{CJK UNIFIED IDEOGRAPH-5BC6}\N{CJK UNIFIED IDEOGRAPH-7801}")
    index = Index([structs.replace(each, status="active") for each in (long, strange)], "embedding")
    assert index("password", "c")[0].principle == "long"
    assert index(strange.when, "c")[0].principle == "strange"
    assert NEAR == 0.2
