"""How many rows pass through the model at a time."""

from assay.recipes.settings import require


def micro_rows(prompts: int, rows: int, minibatches: int, micro: int, *, processes: int) -> int:
    """Returns the rows of one forward and backward pass, per process.

    Args:
        prompts: of a batch.
        rows: trajectories of each.
        minibatches: of a batch.
        micro: rows of a pass that are asked for; 0: a minibatch at once.
        processes: that share a batch.

    Raises:
        UsageError: the rows of a batch do not divide so; says what would.
    """
    made = f"{prompts} prompts x {rows} rows"
    each, left = divmod(prompts * rows, minibatches * processes)
    require(
        left == 0,
        f"train: {made} do not divide into minibatches x processes, {minibatches} x {processes}; "
        "change train.prompts, or train.minibatches",
    )
    micro = micro or each
    most = max(n for n in range(1, min(micro, each) + 1) if each % n == 0)
    require(
        micro == most,
        f"train.micro: got {micro}; expected a divisor of {each}, the rows of a minibatch per "
        f"process ({made}): {most}, or 0 for all at once; or change train.prompts",
    )
    return micro
