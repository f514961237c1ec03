"""A cache with room holds what transformers' own holds, and sampling from it draws the same."""

import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from assay.policy.cache import Roomy, roomy
from assay.policy.sampling import sample

HEADS, SIZE = 2, 3


def filled(rows: int, length: int) -> DynamicLayer:
    layer = DynamicLayer()
    layer.update(torch.randn(rows, HEADS, length, SIZE), torch.randn(rows, HEADS, length, SIZE))
    return layer


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_holds_what_a_joined_cache_holds(data: st.DataObject) -> None:
    torch.manual_seed(0)
    rows = data.draw(st.integers(1, 6))
    plain = filled(rows, data.draw(st.integers(1, 9)))
    room = Roomy(plain)
    for _ in range(data.draw(st.integers(1, 12))):
        if data.draw(st.booleans()):
            more = torch.randn(2, rows, HEADS, data.draw(st.integers(1, 3)), SIZE)
            expected, found = plain.update(*more), room.update(*more)
            assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
        else:
            kept = data.draw(st.permutations(range(rows)))[: data.draw(st.integers(1, rows))]
            rows = len(kept)
            for each in (plain, room):
                each.batch_select_indices(torch.tensor(kept))
        assert torch.equal(room.keys, plain.keys)
        assert torch.equal(room.values, plain.values)
        assert room.get_seq_length() == plain.get_seq_length()


def test_a_token_is_written_in_place_while_there_is_room() -> None:
    room = Roomy(filled(2, 8))
    room.update(*torch.randn(2, 2, HEADS, 1, SIZE))  # eight are full: nine and a quarter more
    begins = room.keys.data_ptr()
    for _ in range(3):
        room.update(*torch.randn(2, 2, HEADS, 1, SIZE))
    assert room.keys.data_ptr() == begins
    room.update(*torch.randn(2, 2, HEADS, 1, SIZE))
    assert room.keys.data_ptr() != begins


def test_layers_of_other_kinds_stay() -> None:
    cache = DynamicCache()
    cache.layers = [filled(1, 2), DynamicSlidingWindowLayer(sliding_window=4)]
    first = roomy(cache).layers
    assert [type(each) for each in first] == [Roomy, DynamicSlidingWindowLayer]
    assert roomy(cache).layers[0] is first[0]
    assert roomy(None) is None


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def test_each_row_gets_its_number_wherever_it_stands(model: LlamaForCausalLM) -> None:
    # Rows end at 3 or 17, so others move up. Worked out apart: one row after the other
    # without a cache, numbers dealt to the rows that go on, in their order.
    prompts = [[at % 5 + 4, at % 3 + 4] for at in range(12)]
    ends = (3, 17)
    rows = sample(
        model, prompts, lambda _, ids, __: None if ids[-1] in ends else (), max_tokens=12,
        generator=torch.Generator().manual_seed(7),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(7)
    expected = [list(prompt) for prompt in prompts]
    going = list(range(12))
    while going:
        u = torch.rand(len(going), 1, dtype=torch.float64, generator=generator)[:, 0]
        for at, number in zip(going, u.tolist(), strict=True):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([expected[at]])).logits[0, -1]
            sums = torch.softmax(logits.double(), -1).cumsum(-1)
            expected[at].append(int((sums <= number * float(sums[-1])).sum()))
        going = [at for at in going if expected[at][-1] not in ends and len(expected[at]) < 2 + 12]
    assert [row.ids for row in rows] == expected
    assert len({len(row.ids) for row in rows}) > 3


def test_equal_beginnings_are_read_once(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = model.forward

    def counted(*args: object, **kwargs: object) -> object:
        shapes.append(tuple(kwargs["input_ids"].shape))  # type: ignore[attr-defined]
        return forward(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "forward", counted)
    sample(model, [[4, 5, 6]] * 3 + [[7, 8, 9, 10]] * 2, lambda *_: (), max_tokens=2)
    assert shapes[:2] == [(2, 3), (5, 1)]
