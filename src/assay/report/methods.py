"""What the pages show of one method, which comes block by block; its numbers wait on disk."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, final

import msgspec
import numpy as np
from jaxtyping import Bool, Float64, Int64

from assay.audit import FATE_KINDS, punished_calls, span_fates
from assay.batch.blocks import Block
from assay.credit import METHODS
from assay.kernels.advantages import Advantages
from assay.kernels.term import Credited
from assay.report.columns import Arriving, Columns
from assay.report.pack import significant
from assay.report.reasons import codes, options

_LOUD = 0.98
"""Quantile of |advantage| at which the colour ramp ends."""


class Form(NamedTuple):
    """JSON with a place for each of some columns."""

    text: str
    columns: tuple[int, ...]

    def filled(self, pieces: Callable[[int], list[str]]) -> list[str]:
        """Returns it for each of some trajectories."""
        of_each = zip(*(pieces(number) for number in self.columns), strict=True)
        return [self.text % each for each in of_each]


def object_of(columns: dict[str, int]) -> Form:
    """Returns the JSON object of columns, by name."""
    named = sorted(columns.items())
    return Form(
        "{" + ",".join(f'"{name}":%s' for name, _ in named) + "}", tuple(n for _, n in named)
    )


@final
class Reference:
    """What is counted of the method that fates and colours start with. Axes: G groups."""

    def __init__(self, n_groups: int) -> None:
        """Begins at nothing."""
        self.punished_G = np.zeros(n_groups, np.int64)
        """Right calls that it pushes down."""
        self.written = np.zeros((n_groups, len(FATE_KINDS)), np.int64)
        """How much of what the policy wrote met each of `audit.FATE_KINDS`, per group."""

    def add(
        self, block: Block, step_S: Float64[np.ndarray, " S"], fate_R: Int64[np.ndarray, " R"]
    ) -> None:
        """Counts a block, by its advantages and fates."""
        batch = block.batch
        wronged_C = punished_calls(batch, step_S) & (batch.correct_C == 1)
        group_C = batch.group_K[batch.traj_S[batch.step_C]]
        self.punished_G += np.bincount(group_C[wronged_C], minlength=batch.n_groups)
        wrote_R = fate_R >= 0
        group_R = batch.group_K[batch.traj_R[wrote_R]]
        cell_R = group_R * len(FATE_KINDS) + fate_R[wrote_R]
        cells = np.bincount(cell_R, batch.length_R[wrote_R], self.written.size)
        self.written += cells.astype(np.int64).reshape(self.written.shape)


@final
class MethodShape:
    """A method under construction: `add` each block, then `Shapes.keep`."""

    def __init__(
        self,
        name: str,
        columns: Columns,
        passed_K: Bool[np.ndarray, " K"],
        alike_G: Bool[np.ndarray, " G"],
        *,
        reference: bool,
    ) -> None:
        self.name = name
        self.reference = Reference(alike_G.size) if reference else None
        self.seen_K = np.zeros(passed_K.size, np.int64)
        """Which codes any step of a trajectory has, as bits."""
        self._passed_K, self._alike_G = passed_K, alike_G
        self._arriving = Arriving(columns)
        self._signal_G = np.zeros(alike_G.size)
        self._loud = Loudest(_LOUD, max(map(columns.size, "RN")))
        self._terms: list[dict[str, Any]] = []
        self._made: list[str] = []

    def add(self, block: Block, given: Advantages, step_S: Float64[np.ndarray, " S"]) -> None:
        """Takes the advantages on a block, and their mean per step (`step_credit`)."""
        batch, arriving = block.batch, self._arriving
        if self.reference is not None:
            fate_R = span_fates(batch, self._alike_G, given)
            arriving.put(block, ("fate",), fate_R)
            self.reference.add(block, step_S, fate_R)
        code_S = codes(batch, step_S, self._passed_K, self._alike_G)
        np.bitwise_or.at(self.seen_K, batch.traj_S, 1 << code_S.astype(np.int64))
        for made in given.made:
            for name, values, wanted, otherwise in _made_of(made, batch.length_R):
                at = ("compared", made.term.name, name)
                arriving.put(block, at, values, wanted=wanted, otherwise=otherwise)
        for name, part in given.parts.items():
            arriving.put(block, ("part", name), part)
        arriving.put(block, ("total",), given.total, wanted=len(given.parts) > 1)
        arriving.put(block, ("step",), step_S, per_step=True)
        arriving.put(block, ("why",), code_S, per_step=True)
        self._loud.add(given.total)
        self._signal_G += _strength(block, given)
        made = {each.term.name: each.term for each in given.made}
        self._made = list(made)
        self._terms = [
            {"name": each, **(options(made[each]) if each in made else {})} for each in given.parts
        ]

    def form(self, numbered: Callable[[Form], int]) -> tuple[Form, int | None]:
        """Keeps the columns; returns the JSON of the method's, and the number of that of fates.

        Args:
            numbered: gives the number under which `compared` lists what a term compares.
        """
        kept = self._arriving.keep()
        objects = {name: dict[str, int]() for name in self._made}
        for name, number in kept.items():
            if name[0] == "compared":
                objects[name[1]][name[2]] = number
        compared = {name: numbered(object_of(columns)) for name, columns in objects.items()}
        names = sorted(each["name"] for each in self._terms)
        terms = [
            f'{key(each)}:{{"compared":{compared.get(each, "null")},"part":%s}}' for each in names
        ]
        text = f'{key(self.name)}:{{"step":%s,"terms":{{{",".join(terms)}}},'
        at = [kept["step",], *(kept["part", name] for name in names)]
        if len(names) > 1:
            text, at = f'{text}"total":%s,', [*at, kept["total",]]
        form = Form(f'{text}"why":%s}}', (*at, kept["why",]))
        return form, kept.get(("fate",))

    def about(self) -> dict[str, Any]:
        """Returns what the pages say of the method itself."""
        cls = METHODS.get(self.name) if self.name in METHODS.names() else None
        row = ("source", "value", "unit", "peers", "carried", "scaling")
        return {
            "name": self.name,
            "scale": float(significant(np.array([self._loud.value()]))[0]),
            "about": {} if cls is None else {each: getattr(cls, each) for each in row},
            "terms": self._terms,
        }

    def signal(self, wrote_G: Float64[np.ndarray, " G"]) -> Float64[np.ndarray, " G"]:
        """Returns, per group, the mean absolute advantage over what its policy wrote."""
        return self._signal_G / np.maximum(wrote_G, 1)


@final
class Loudest:
    """A quantile of absolute values near the highest, for which few of them are kept."""

    def __init__(self, level: float, most: int) -> None:
        """Begins without values.

        Args:
            level: of the quantile, in [0, 1].
            most: values that may come, at most.
        """
        self._level, self._keep = level, int((1 - level) * most) + 3
        self._top, self._count = np.zeros(0), 0

    def add(self, values: Float64[np.ndarray, " _"]) -> None:
        """Takes values; those that are 0 or NaN do not count."""
        loud = np.abs(values[np.nan_to_num(values) != 0])
        self._count += loud.size
        top = np.concatenate([self._top, loud])
        if top.size > self._keep:
            top = np.partition(top, top.size - self._keep)[-self._keep :]
        self._top = top

    def value(self) -> float:
        """Returns the quantile of all values, between two of them by their distance; 1 of none."""
        if not self._count:
            return 1.0
        at = (self._count - 1) * self._level
        below = int(at)
        top, first = np.sort(self._top), self._count - self._top.size
        pair = top[[below - first, min(below + 1, self._count - 1) - first]]
        return float(np.quantile(pair, [at - below])[0])


def key(name: str) -> str:
    """Returns a name as a key of JSON, safe in a format string."""
    return msgspec.json.encode(name).decode().replace("%", "%%")


def _made_of(
    made: Credited, length_R: Int64[np.ndarray, " R"]
) -> Iterator[tuple[str, np.ndarray, bool, float]]:
    """Yields, per span or token, the numbers of its unit that make its part (see `options`), by
    name; whether they say something; and what they are where they do not."""
    term = made.term
    unit = term.unit_R if term.unit_R is not None else term.unit_N
    value = np.append(term.value_U, np.nan)[unit]
    yield "value", value, True, 0.0
    if term.baseline != "none":
        yield "baseline", np.append(made.baseline_U, np.nan)[unit], True, 0.0
    if term.scale != "none":
        yield "divisor", np.append(made.divisor_U, np.nan)[unit], True, 0.0
    yield "peers", np.append(made.count_U, 0)[unit], bool(made.count_U.any()), 0.0
    if term.weight_U is not None or term.weight_N is not None:
        weight = np.full(value.size, term.weight)
        if term.weight_U is not None:
            weight = weight * np.append(term.weight_U, 1.0)[unit]
        if term.weight_N is not None:
            weight = weight if term.unit_R is None else np.repeat(weight, length_R)
            weight = weight * term.weight_N
        yield "weight", weight, bool((weight != term.weight).any()), term.weight


def _strength(block: Block, given: Advantages) -> Float64[np.ndarray, " G"]:
    """Returns the sum of absolute advantages over what each group's policy wrote in a block."""
    batch = block.batch
    length, group = batch.length_R, batch.group_K[batch.traj_R]
    strength = np.abs(np.nan_to_num(given.total))
    if strength.size == length.size:
        strength = strength * length
    else:
        group = np.repeat(group, length)
    return np.bincount(group, strength, batch.n_groups).astype(float)  # of nothing it is integer
