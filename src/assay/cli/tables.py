"""The audit as tables for a terminal. Every number comes from the audit's JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from assay.audit.judged import sentence as of_judge
from assay.audit.kinds import SENTENCES, SOME_TOKENS
from assay.cli.options import LOOK
from assay.report.advice import advice

_FATE_WORDS = {
    "trained_up": "trained up",
    "trained_down": "trained down, no sign it was right",
    "punished_correct": "punished although correct",
    "neutral": "advantage 0 in a live group",
    "truncated": "trained down, cut off by its budget",
    "dead": "dead group: nothing to compare",
    "unscored": "unscored",
    "infrastructure": "stopped by infrastructure",
    "masked": "masked",
    "drifted": "re-tokenised, untrainable",
}


_FEW = 10
"""Below it a percentage says more than is known."""
_NAMED = 20
"""Keys of a log that are named, at most."""
_RATES = "pass@k: at least one of k passes; pass^k: all of k pass"
_NO_INTERVAL = "-: no interval from fewer than ten groups, or from groups that are all alike"


def audit_tables(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Yields what `assay audit` prints, trust first."""
    if result["trust"]["warnings"]:
        yield listed("!", result["trust"]["warnings"])
        yield Text()
    if not result["trajectories"]["scored"]:
        yield from _behaviour(result)
    else:
        yield from _outcomes(result)
    yield from _losses(result["losses"])
    if (found := advice(result))["rows"]:
        yield Text("What is in the way, and what to do")
        yield listed("-", [f"{why} {do}" for why, do, _ in found["rows"]])
        yield Text()


def listed(mark: str, sentences: Sequence[str]) -> Table:
    """Returns sentences, each behind a mark."""
    table = Table.grid(padding=(0, 1))
    for sentence in sentences:
        table.add_row(mark, Text(sentence))
    return table


def _outcomes(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    yield _groups(result)
    yield _fate(result)
    if result["calls"]["total"]:
        yield _calls(result)
    yield from _pass_rates(result)
    if result["groups"]["dead"]:
        yield from _recovered(result)
    yield from _refused(result)
    yield Text()
    yield _claims(result)
    if result["judges"]:
        yield Text("\nJudges, where a check or a person looked too")
        yield listed("-", [of_judge(name, row) for name, row in result["judges"].items()])


def _behaviour(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Yields what there is to say where nobody scored anything; a table of nothing is left out."""
    did, calls = result["behaviour"], result["calls"]["total"]
    kinds = {
        "error": "answered by an error",
        "state": "on a path to success by the state",
        "expert": "an expert action",
        "ran": "ran, and nothing says whether it was right",
        "unknown": "unanswered",
    }
    if calls:
        table = _table("Tool calls, by evidence", "", "calls", "share")
        for kind, word in kinds.items():
            if did["calls"][kind]:
                table.add_row(word, f"{did['calls'][kind]:,}", share(did["calls"][kind], calls))
        table.add_section()
        again = did["repeats"]["calls"]
        table.add_row("made before and answered the same", f"{again:,}", share(again, calls))
        yield table
    if did["stalls"]["longest"]:
        title = "Where agents stalled: errors and repeats in a row"
        table = _table(title, "trajectory", "from step", "calls", "errors")
        for row in did["stalls"]["longest"]:
            cells = (f"{row[key]:,}" for key in ("step", "length", "errors"))
            table.add_row(Text(row["id"]), *cells)
        yield table
    yield _last_words(did["claims"])
    table = _table("What it took", "", "in all", "median", "most")
    for name, row in did["cost"].items():
        table.add_row(name, f"{row['total']:,}", f"{row['median']:,g}", f"{row['most']:,}")
    yield table


def _last_words(said: Mapping[str, int]) -> Table:
    table = _table("Claims against what came last", "", "trajectories")
    for key, word in (
        ("claimed", "says it is done"),
        ("claimed_after_error", "  after a call that failed"),
        ("claimed_after_repeat", "  after a call that changed nothing"),
        ("claimed_off_path", "  in a state on no path to success"),
        ("claimed_without_call", "  without a call"),
        ("admitted", "says it is not"),
        ("none", "says neither"),
    ):
        if said[key] or not word.startswith(" "):
            table.add_row(word, f"{said[key]:,}")
    return table


def _table(title: str, *columns: str) -> Table:
    first, *others = columns
    right = [Column(name, justify="right") for name in others]
    return Table(Column(first, no_wrap=True), *right, title=title, **LOOK)


def _losses(losses: Mapping[str, int]) -> Iterator[Table | Text]:
    """Yields what was not carried over and is in no warning; keys of the log by their names."""
    from assay.report.losses import explained

    warned = {*SENTENCES, SOME_TOKENS, "no_outcome"}
    rest = {name: n for name, n in losses.items() if name.partition(":")[0] not in warned}
    told = list(explained(rest))
    said = [means for _, _, means in told if means]
    named = [f"{name} x {count:,}" for name, count, means in told if not means]
    more = f" and {len(named) - _NAMED:,} more, in audit.json" if len(named) > _NAMED else ""
    keys = ", ".join(named[:_NAMED]) + more
    if rest:
        yield Text("Not carried over")
        yield listed("-", [*said, f"by name: {keys}"] if keys else said)
        yield Text()


def share(part: int | float, whole: int | float) -> str:
    """Returns a percentage, of few the count, or a dash where there is nothing to take it of."""
    if 0 < whole < _FEW:
        return f"{part:,} of {whole:,}"
    return f"{part / whole:.0%}" if whole else "-"


def _groups(result: Mapping[str, Any]) -> Table:
    groups = result["groups"]
    table = _table("Groups", "", "groups", "share")
    words = {
        "mixed": "mixed: some pass, some fail",
        "all_fail": "all fail",
        "all_pass": "all pass",
        "constant_partial": "same partial score",
        "single": "one scored member",
        "unscored": "unscored",
    }
    for key, word in words.items():
        if groups[key]:
            table.add_row(word, f"{groups[key]:,}", share(groups[key], groups["total"]))
    table.add_section()
    dead = groups["dead"]
    table.add_row("teach GRPO nothing", f"{dead:,}", share(dead, groups["total"]), style="bold")
    return table


def _fate(result: Mapping[str, Any]) -> Table:
    measure = result["measure"]
    table = _table("What GRPO does with what the policy wrote", "", measure, "share")
    total = sum(row[measure] for row in result["fate"].values())
    for kind, row in result["fate"].items():
        if row[measure]:
            style = "bold" if kind == "punished_correct" else ""
            table.add_row(
                _FATE_WORDS[kind], f"{row[measure]:,}", share(row[measure], total), style=style
            )
    return table


def _calls(result: Mapping[str, Any]) -> Table:
    calls = result["calls"]
    base, wrong = calls["punished"], calls["punished_correct"]
    table = _table("Tool calls", "", "calls", "share")
    table.add_row("all", f"{calls['total']:,}", "")
    for word, part in (("errors", calls["error"]), ("punished by GRPO", base)):
        if part:
            table.add_row(word, f"{part:,}", share(part, calls["total"]))
    for key, word, whole in (
        ("punished_expert", "  of these an expert action", base),
        ("punished_sibling", "  of these made by a successful sibling", base),
        ("punished_state", "  of these on a path to success by the state", base),
        ("punished_correct", "  of these any: punished although correct", base),
        ("punished_variance", "    rewarded as much in the same place: averages out", wrong),
        ("punished_systematic", "    not shown to average out (docs/punished.md)", wrong),
    ):
        if whole and calls[key]:
            style = "bold" if key == "punished_correct" else ""
            table.add_row(word, f"{calls[key]:,}", share(calls[key], whole), style=style)
    if expert := calls["expert_in_all_fail"]:
        table.add_row("expert actions in all-fail groups", f"{expert:,}", "")
    return table


def _pass_rates(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    table = _table(
        "Pass rates, means over groups", "k", "pass@k", "95 %", "pass^k", "95 %", "groups"
    )
    known = True
    for k in result["pass_at_k"]:
        cells: list[str] = []
        for name in ("pass_at_k", "pass_hat_k"):
            ends = result[f"{name}_interval"][k]
            cells += [f"{result[name][k]:.3f}", interval(ends)]
            known &= ends is not None
        table.add_row(k, *cells, f"{result['pass_k_groups'][k]:,}")
    yield table
    yield Text(f"{_RATES}\n" if known else f"{_RATES}\n{_NO_INTERVAL}\n")


def interval(ends: Sequence[float] | None) -> str:
    """Returns the ends of an interval, or a dash where there is none."""
    return "-" if ends is None else f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def _recovered(result: Mapping[str, Any]) -> Iterator[Table | Text]:
    """Yields which methods get something out of dead groups, and which nothing."""
    rows = sorted(result["recovered"].items(), key=lambda item: (-item[1]["steps"], item[0]))
    some = [(name, row) for name, row in rows if row["steps"]]
    if not some:
        yield Text("Signal in dead groups: none, by any method")
        return
    table = _table("Signal in dead groups, by method", "method", "groups", "steps", "share")
    for name, row in some:
        whole = round(row["steps"] / row["share_of_dead"])
        cells = f"{row['groups']:,}", f"{row['steps']:,}", share(row["steps"], whole)
        table.add_row(name, *cells)
    yield table
    if len(some) < len(rows):
        yield Text(f"none by {', '.join(name for name, row in rows if not row['steps'])}")


def _refused(result: Mapping[str, Any]) -> Iterator[Text]:
    """Yields which methods cannot run on the set."""
    reasons: dict[str, list[str]] = {}
    for name, reason in result["not_applicable"].items():
        reasons.setdefault(reason.removeprefix(f"{name} ").partition(",")[0], []).append(name)
    for reason, names in reasons.items():
        yield Text(f"not applicable: {', '.join(names)} ({reason})")


def _claims(result: Mapping[str, Any]) -> Table:
    claims = result["claims"]
    table = _table("Claims against outcomes", "", "passed", "failed")
    for word, key in (("says it is done", "claimed"), ("does not say so", "silent")):
        passed, failed = claims[f"{key}_verified"], claims[f"{key}_failed"]
        if passed or failed:
            table.add_row(word, f"{passed:,}", f"{failed:,}")
    return table
