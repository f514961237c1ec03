"""One advantage per token, from a log, in ten lines: python examples/credit_in_ten_lines.py"""

from assay import Recipe, load, method, run
from assay.demo import RECORDED

recipe = Recipe.of({"methods": [{"name": "grpo", "like": "trl"}, {"name": "toolpo"}]})
result = run(load(RECORDED), recipe)
for name, advantages in result.advantages.items():
    live = advantages.advantage_N != 0
    print(f"{name}: {live.sum():,} of {live.size:,} tokens get a signal")
    print("  terms:", *advantages.parts)
alone = method("rloo")(result.batch)
print("a method alone:", alone.advantage_N.min(), "to", alone.advantage_N.max())
