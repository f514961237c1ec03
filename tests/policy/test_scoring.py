"""Given tokens are scored as a plain pass over each whole text scores them."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from assay.errors import UsageError  # noqa: E402
from assay.policy.scoring import Asked, score  # noqa: E402

HISTORIES = [[3, 4, 5, 6, 7, 8, 9], [5, 3, 9], [4]]
ASKED = [
    Asked(0, 2, (10, 11), (12, 13)),
    Asked(1, 3, (10,), (7,)),
    Asked(0, 7, (), (3, 4, 5)),
    Asked(2, 1, (), (9,)),
    Asked(0, 1, (), (4, 5)),
]


def model(**changes: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        **changes,
    )
    return transformers.LlamaForCausalLM(config).double()


def alone(whole: Any, each: Asked) -> list[float]:
    ids = [*HISTORIES[each.history][: each.cut], *each.given, *each.scored]
    with torch.no_grad():
        logp = whole.eval()(torch.tensor([ids])).logits[0].log_softmax(-1)
    first = len(ids) - len(each.scored)
    return [float(logp[at - 1, ids[at]]) for at in range(first, len(ids))]


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_scores_are_those_of_each_text_alone(batch: int) -> None:
    whole = model()
    found = score(whole, HISTORIES, ASKED, batch=batch)
    for got, each in zip(found, ASKED, strict=True):
        assert got == pytest.approx(alone(whole, each), abs=1e-6)


def test_a_model_with_windows_reads_whole_texts() -> None:
    whole, passed = model(), []
    plain = score(whole, HISTORIES, ASKED)
    whole.config.sliding_window = 64  # wider than any text: the numbers stay
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: passed.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    assert score(whole, HISTORIES, ASKED) == [pytest.approx(each, abs=1e-6) for each in plain]
    assert passed == [(5, 9)]  # the last of 10 foretells nothing


def test_a_history_is_read_once_and_the_mode_stays() -> None:
    whole, passed = model().train(), []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: passed.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    kept: list[int] = []
    whole.register_forward_pre_hook(
        lambda _, args, given: kept.append(given["logits_to_keep"]), with_kwargs=True
    )
    score(whole, HISTORIES[:1], [Asked(0, cut, (10,), (11,)) for cut in range(1, 8)])
    assert passed == [(1, 6), (7, 2)]  # seven texts of 2 to 8 tokens would be 35
    assert kept == [1, 1]  # no logits but those that are read
    assert whole.training


@pytest.mark.parametrize(
    "each", [Asked(0, 0, (), (3,)), Asked(0, 8, (), (3,)), Asked(0, 1, (), ())]
)
def test_a_place_outside_or_nothing_to_score_is_refused(each: Asked) -> None:
    with pytest.raises(UsageError, match="from 1 to its end, and at least one token"):
        score(model(), HISTORIES, [each])


def test_rows_of_a_pass_are_of_like_length() -> None:
    whole, passed = model(), []
    whole.base_model.register_forward_pre_hook(
        lambda _, args, given: passed.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    sizes = (9, 1, 8, 2)
    asked = [Asked(at % 2, 3, (), (5,) * size) for at, size in enumerate(sizes)]
    found = score(whole, HISTORIES, asked, batch=2, temperature=2.0)
    # both histories but for their last tokens; then each row is one of them and what is scored, but
    # for its last
    assert passed == [(2, 2), (2, 2), (2, 9)]
    for got, each in zip(found, asked, strict=True):
        ids = [*HISTORIES[each.history][:3], *each.scored]
        with torch.no_grad():
            logp = (whole(torch.tensor([ids])).logits[0] / 2.0).log_softmax(-1)
        assert got == pytest.approx([float(logp[i, 5]) for i in range(2, len(ids) - 1)], abs=1e-6)
    whole.config.sliding_window, passed[:] = 64, []
    score(whole, HISTORIES, [Asked(0, 7, (), (5,)), Asked(1, 1, (), (5,) * 5)] * 2, batch=2)
    assert passed == [(2, 5), (2, 7)]
