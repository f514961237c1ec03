"""What prompts share is read once, and what is sampled after them is as if each were alone."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from assay.policy import sampling  # noqa: E402
from assay.policy.sampling import branches, sample  # noqa: E402


def model(window: int | None = None) -> Any:
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=window,
    )
    return transformers.MistralForCausalLM(config).double().eval()


def read(whole: Any) -> list[tuple[int, int]]:
    """Rows and tokens of each pass from now on."""
    passed: list[tuple[int, int]] = []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: passed.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    return passed


def test_texts_are_read_on_where_they_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # five texts of 40 tokens: all share 10, the first three 30, of which the first two 32
    texts = [
        (1,) * 30 + (2, 2) + (2,) * 8,
        (1,) * 30 + (2, 2) + (3,) * 8,
        (1,) * 30 + (4,) * 10,
        (1,) * 10 + (5,) * 30,
        (1,) * 10 + (6,) * 30,
    ]
    # to 10: 4 texts less, 40 tokens; to 30: 5 texts are 3, 2 * 20 more; to 32: 5 are 4, 1 * 2
    for saved, found in ((2, [10, 30, 32, 40]), (3, [10, 30, 40]), (41, [30, 40]), (61, [40])):
        monkeypatch.setattr(sampling, "SAVED", saved)
        assert branches(texts) == found
        assert branches([*texts[::-1], texts[0]]) == found
    assert branches([(1, 2)]) == branches([(1, 2), (1, 2)]) == [2]


def test_what_is_shared_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAVED", 4)
    whole = model()
    passed = read(whole)
    prompts = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7, 8], [1, 2, 3, 4, 5, 6], [1, 2, 9, 4, 5, 6]]
    sample(whole, prompts, lambda *_: None, max_tokens=1)
    # three texts share 2 tokens, two of them 2 more: to 2 saves 4; to 4, 2
    assert passed == [(1, 2), (3, 4)]


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_rows_are_as_if_each_were_alone(data: st.DataObject) -> None:
    whole = model(data.draw(st.sampled_from([None, 3])))
    token = st.integers(1, 3)
    shared = data.draw(st.lists(token, max_size=6))
    tails = data.draw(st.lists(st.lists(token, min_size=1, max_size=6), min_size=1, max_size=5))
    prompts = [[*shared, *tail] for tail in tails]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "SAVED", data.draw(st.integers(1, 8)))
        found = sample(whole, prompts, lambda *_: [], max_tokens=4, temperature=0.0)
    for prompt, row in zip(prompts, found, strict=True):
        alone = sample(whole, [prompt], lambda *_: [], max_tokens=4, temperature=0.0)[0]
        assert row.ids == alone.ids
        assert row.logprobs == pytest.approx(alone.logprobs, abs=1e-6)
