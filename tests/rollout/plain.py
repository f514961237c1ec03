"""A policy small enough for plain passes over whole texts, in double precision, and such a pass."""

from typing import Any


def small(seed: int) -> Any:
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=16,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    return transformers.LlamaForCausalLM(config).double().eval()


def logp(policy: Any, before: list[int], after: list[int]) -> list[float]:
    import torch

    with torch.no_grad():
        table = policy(torch.tensor([before + after])).logits[0].log_softmax(-1)
    return [float(table[len(before) + i - 1, token]) for i, token in enumerate(after)]
