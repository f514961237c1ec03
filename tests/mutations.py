"""Breaks each kernel one line at a time and reports whether its tests notice.

    python tests/mutations.py              # every kernel
    python tests/mutations.py units passk  # some of them

Works on a copy, so the tree is never touched. Tests whose expected values are worked out by hand
run first; laws and oracles only where those did not notice. Exits 1 if a mutation survives.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import beartype  # noqa: F401 - imported here so that no fork has to
import hypothesis.strategies  # noqa: F401
import jaxtyping  # noqa: F401
import msgspec  # noqa: F401
import numpy as np  # noqa: F401
import pytest

ROOT = Path(__file__).parents[1]
KERNELS = Path("src/assay/kernels")
BY_HAND = (
    "test_units",
    "test_made",
    "test_returns",
    "test_advantages",
    "test_groups",
    "test_evidence",
    "test_passk",
)

# kernel -> (line as it is, line as it must not be); what is said must occur once
MUTATIONS: dict[str, list[tuple[str, str]]] = {
    "units": [
        ("CONSTANT = 1e-6", "CONSTANT = 1e-2"),
        ("CONSTANT = 1e-6", "CONSTANT = 0.0"),
        ("ROUND_OFF = 1e-12", "ROUND_OFF = 0.0"),
        ("np.maximum if term.sign ==", "np.minimum if term.sign !="),
        ("np.clip(advantage_U, -term.cap, term.cap)", "np.minimum(advantage_U, term.cap)"),
        ("= advantage_U * term.weight_U", "= advantage_U"),
        ("= advantage_U * term.weight\n", "= advantage_U\n"),
        ("~np.isnan(value_U) & (peer_U >= 0)", "~np.isnan(value_U)"),
        ("np.where(np.isnan(value_U), np.nan, 0.0)", "np.zeros(value_U.size)"),
        (
            "value = np.concatenate([value, term.virtual_value_V])",
            "value = np.append(value, value[:0])",
        ),
        ("np.where(constant_P[u] | even, own, base)", "np.where(even, own, base)"),
        ("np.where(constant_P[u] | even, own, base)", "np.where(constant_P[u], own, base)"),
        ("<= ROUND_OFF * abs(value)", "<= 1e-2 * abs(value)"),
        ("np.full(n, np.nan), np.ones(n)", "np.zeros(n), np.ones(n)"),
        ("= base, divisor\n", "= base, 1.0\n"),
        ("= count_P[u], constant_P[u]", "= count_P[u], False"),
        ('"quantile", "virtual"):\n', '"quantile"):\n'),
        ("alone = count_P[u] == 1", "alone = count_P[u] <= 2"),
        ('1.0 + term.eps if term.scale == "std" else 1.0', "1.0"),
        ("count_P - term.ddof", "count_P - 1"),
        ("(value - mean_P[peer]) ** 2", "abs(value - mean_P[peer])"),
        ("np.maximum(count_P - term.ddof, 1)) + term.eps", "np.maximum(count_P - term.ddof, 1))"),
        ("divisor_P = mean_P + term.eps", "divisor_P = mean_P"),
        ("refused_P = (mean_P < 0) | ", "refused_P = "),
        ("(mean_P <= ROUND_OFF)", "(mean_P < -1)"),
        ("np.where(constant_P, 1.0, divisor_P)", "divisor_P"),
        ("(sum_P[u] - own) / np.maximum(count_P[u] - itself, 1)", "sum_P[u] / count_P[u]"),
        ("np.maximum(count_P[u] - itself, 1)", "np.maximum(count_P[u] - 1, 1)"),
        ("term.value_U[compared_U] * itself", "term.value_U[compared_U]"),
        ("else term.counted_U[compared_U]\n", "else slice(None)\n"),
        ("= returns(advantage_U, term.next_U, term.decay)", "= returns(advantage_U, term.next_U)"),
        ("(1.0 - share) * mean_P[u] + share", "mean_P[u] + share"),
        ("shrink[compared_U] if", "shrink[: u.size] if"),
        ("given[compared_U] if", "given[: u.size] if"),
        ("np.lexsort((value, peer))", "np.lexsort((-value, peer))"),
        ("level * count_P - ROUND_OFF", "level * count_P"),
        ("np.ceil(level", "np.floor(level"),
        ("CONSTANT * value_range, ROUND_OFF * size_P", "CONSTANT * value_range, 0.0 * size_P"),
        ("if value_range is None:", "if True:"),
        ("np.maximum(abs(high_P), abs(low_P))", "high_P"),
    ],
    "advantages": [
        ("if term.name in parts:", "if False:"),
        ("np.append(made[-1].advantage_U, 0.0)[unit]", "made[-1].advantage_U[unit]"),
        ("np.append(made[-1].advantage_U, 0.0)", "np.append(made[-1].advantage_U, 1.0)"),
        ("carries = unit >= 0", "carries = unit > 0"),
        ("or n_spans == n_tokens)", "or False)"),
        ("np.where(part == 0.0, 0.0, part * term.weight_N)", "part * term.weight_N"),
        ("np.where(part == 0.0, 0.0, part * term.weight_N)", "part"),
        ("np.where(missing, 0.0, part)", "part"),
        ("scored |= carried[name] & ~missing", "scored |= ~missing"),
        ("any_carried |= carried[name]", "any_carried &= carried[name]"),
        ("np.logical_or.reduce", "np.logical_and.reduce"),
        ("combine(level, carries)", "summed(level, carries)"),
        ("total[any_carried & ~scored] = np.nan", "pass"),
        ("if part.size == int(self.length_R.sum())", "if part.size != self.length_R.size"),
        ("if unit.size and not -1 <=", "if unit.size and not -9 <="),
        ("<= unit.max() < n_units", "<= unit.max() <= n_units"),
        (
            "if unit is None or (term.unit_R is not None and term.unit_N is not None)",
            "if unit is None",
        ),
        ('_check_size(term, "weight_N", term.weight_N.size, n_tokens)', "pass"),
        ("    if size != expected:", "    if False:"),
    ],
    "returns": [
        ("+= factor_U[looks] * total_U[at]", "+= total_U[at]"),
        ("scored_U[looks] |= scored_U[at]", "pass"),
        ("factor_U[looks] *= factor_U[at]", "pass"),
        ("np.where(scored_U, value_U, 0.0), next_U.copy()", "value_U.copy(), next_U.copy()"),
        ("np.where(scored_U, total_U, np.nan)", "total_U"),
        ("next_U.copy()", "next_U"),
        ("range(n.bit_length() + 1)", "range(n.bit_length() - 1)"),
        ("if n and not -1 <=", "if False and not -1 <="),
    ],
    "groups": [
        ("~np.isnan(outcome_K)", "np.isfinite(np.nan_to_num(outcome_K))"),
        ("outcome >= pass_at", "outcome > pass_at"),
        ("CONSTANT * max(spread, 0.0)", "CONSTANT"),
        ("ROUND_OFF * np.maximum(abs(high_G), abs(low_G))", "0.0 * high_G"),
        ("np.maximum(abs(high_G), abs(low_G))", "high_G"),
        ("~(high_G - low_G > tolerance_G)", "high_G == low_G"),
        ("fate_G[passed_G == 0] = ALL_FAIL", "pass"),
        ("fate_G[passed_G == count_G] = ALL_PASS", "fate_G[passed_G > 0] = ALL_PASS"),
        ("(passed_G == 0) & constant_G & (low_G > 0)", "constant_G & (low_G > 0)"),
        ("(passed_G == 0) & constant_G & (low_G > 0)", "(passed_G == 0) & (low_G > 0)"),
        ("& (low_G > 0)", "& (low_G != 0)"),
        ("fate_G[count_G == 1] = SINGLE", "fate_G[count_G <= 2] = SINGLE"),
        ("fate_G[count_G == 0] = UNSCORED", "pass"),
        ("constant_G | (count_G < 2)", "constant_G & (count_G > 1)"),
        ("np.minimum.at(low_G, group, outcome)", "np.maximum.at(low_G, group, outcome)"),
    ],
    "evidence": [
        ("[task_K] - passed_K", "[task_K]"),
        ("axis=0)", "axis=1)"),
        ("task_K[traj_C] * n_keys + key_code", "key_code"),
        ("task_K[traj_C] * n_keys", "task_K[traj_C]"),
        ("task_K[traj_C] * n_keys", "traj_C * n_keys"),
        ("passing = passed_K[traj_C]", "passing = ~passed_K[traj_C]"),
        (
            "np.unique(np.stack([pair_C[passing], traj_C[passing]], axis=1), axis=0)",
            "np.stack([pair_C[passing], traj_C[passing]], axis=1)",
        ),
        ("pair_C[passing], traj_C[passing]", "pair_C, traj_C"),
        ("found = pairs[at] == pair_C if", "found = pairs[at] >= pair_C if"),
        ("if pairs.size else 0, 0) - passing", "if pairs.size else 0, 0)"),
        ("owners_C > 0, -1)", "owners_C > 1, -1)"),
        ("others_K[traj_C] > 0", "others_K[traj_C] >= 0"),
        ("others_K[traj_C] > 0", "others_K[traj_C] > 1"),
        ("owners_C > 0, -1)", "owners_C > 0, 0)"),
    ],
    "passk": [
        (
            "return 1.0 - _all_of(total_G, total_G - passed_G, k)",
            "return _all_of(total_G, total_G - passed_G, k)",
        ),
        ("total_G - passed_G, k)", "passed_G, k)"),
        ("return _all_of(total_G, passed_G, k)", "return 1.0 - _all_of(total_G, passed_G, k)"),
        ("if k < 1:", "if k < 0:"),
        ("(wanted_G < 0).any() or", "False or"),
        ("or (wanted_G > total_G).any()", "or False"),
        ("for i in range(k):", "for i in range(k - 1):"),
        ("np.maximum(wanted_G - i, 0)", "np.maximum(wanted_G, 0)"),
        ("np.maximum(wanted_G - i, 0)", "np.maximum(wanted_G - i, 1)"),
        ("np.maximum(total_G - i, 1)", "np.maximum(total_G, 1)"),
        ("total_G >= k, chance_G", "total_G > k, chance_G"),
        ("chance_G, np.nan)", "chance_G, 0.0)"),
        ("value_G[~np.isnan(value_G)]", "np.nan_to_num(value_G)"),
        ("if value.size == 0:", "if value.size < 0:"),
        ("= rng.multinomial", "= np.random.default_rng(0).multinomial"),
        ("count / value.size, draws", "np.full(count.size, 1 / count.size), draws"),
        ("multinomial(value.size,", "multinomial(2 * value.size,"),
        ("[(1 - level) / 2, (1 + level) / 2]", "[1 - level, level]"),
    ],
}


def noticed(copy: Path, files: tuple[str, ...]) -> bool:
    """Returns whether a test of these files fails on the copy.

    In a fork of this process, which has imported what tests need and nothing of assay.
    """
    tests = [f"tests/kernels/{name}.py" for name in files]
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _run(copy, tests)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        sys.exit(f"pytest ended with {code} on {' '.join(tests)}")
    return code == 1


def _run(copy: Path, tests: list[str]) -> int:
    """Runs the tests on the copy, in silence; returns pytest's exit code."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    os.chdir(copy)
    sys.path.insert(0, str(copy / "src"))
    sys.dont_write_bytecode = True
    rewriting = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported by now
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", rewriting, *tests])


def mutate(copy: Path, kernel: str, old: str, new: str) -> str:
    """Returns "by hand", "by law" or "SURVIVED" for one mutation of one kernel."""
    path = copy / KERNELS / f"{kernel}.py"
    whole = (ROOT / KERNELS / f"{kernel}.py").read_text()
    if whole.count(old) != 1:
        sys.exit(f"{kernel}: {old!r} occurs {whole.count(old)} times; it must occur once")
    path.write_text(whole.replace(old, new))
    try:
        if noticed(copy, (f"test_{kernel}",)):
            return "by hand"
        return "by law" if noticed(copy, (*BY_HAND, "test_laws")) else "SURVIVED"
    finally:
        path.write_text(whole)


def main(kernels: list[str]) -> int:
    """Prints one line per mutation and a count per kernel; returns how many survived."""
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("src", "tests"):
            skipped = shutil.ignore_patterns("__pycache__", "fixtures")
            shutil.copytree(ROOT / name, copy / name, ignore=skipped)
        shutil.copy(ROOT / "pyproject.toml", copy)
        if noticed(copy, (*BY_HAND, "test_laws")):
            sys.exit("the tests fail before anything is broken")
        for kernel in kernels:
            fates: list[str] = []
            for old, new in MUTATIONS[kernel]:
                fates.append(mutate(copy, kernel, old, new))
                print(f"{fates[-1]:9} {kernel:10} {old.strip()}  ->  {new.strip()}", flush=True)
            alive = fates.count("SURVIVED")
            survived += alive
            print(f"{kernel}: {len(fates) - alive} of {len(fates)} killed", flush=True)
    return survived


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:] or list(MUTATIONS)) else 0)
