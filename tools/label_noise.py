"""What labels that err cost, and how to live with them: every number of the page is computed.

python tools/label_noise.py            # writes docs/label_noise.md
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

import numpy as np

from assay.credit import method
from assay.kernels.noise import backward, others, posterior, true_rate, weighed
from assay.kernels.verdicts import majority_error, worth
from assay.verify.rates import Audits, audits_for, prevalence, rates, upper

PAGE: Final = Path(__file__).parents[1] / "docs" / "label_noise.md"
_COSTS: Final[Sequence[dict[str, Any]]] = (
    {},
    {"above": 0.8},
    {"false_claim": 1.0},
    {"false_claim": 0.0},
)
HEAD: Final = """\
# Label noise

Written by `python tools/label_noise.py`, and held to it by a test. Outcomes of judges err. Which
errors matter, how often a judge errs, and what training makes of it.

    rho0 = P(accepted | failed)      rho1 = P(rejected | passed)      J = 1 - rho0 - rho1

## What to do

1. Look at the state before you ask a judge: `assay.verify.state` reads back what was asked for,
   names what else changed, and marks what nobody may touch. That is a check (E3), and has no
   errors here.
2. Keep verdicts of judges as grades (E1, E2) of records, each with a `source`.
3. Draw audits, fill them in by hand, hand them back:

```
assay label LOG --template look.csv --audit 60
assay label LOG --csv look.csv --level E4
assay credit LOG --labels LOG.labels.jsonl -m mixed_judges -o credit/
```

4. Train with [mixed_judges](methods/mixed_judges.md): rates per judge and claim, false positives
   from above. `metrics.jsonl` has `judge/NAME/j`; a step says where it falls, and `assay audit`
   what the pairs of a log say of each judge.
5. Where a check exists, let false claims cost: [honest_claims](methods/honest_claims.md).
6. Audit accepted items in every generation: rates move with the policy, which learns what is
   accepted.

What is done with what is known of an outcome (`verify.outcome`):

| check (E3, E4) | judge or next state (E1, E2) | said of itself | category | outcome |
|---|---|---|---|---|
| pass | any | claimed, nothing | true_success | check |
| pass | any | admitted | under_claim | check, less `under_claim` |
| fail | any | claimed | false_success | check, less `false_claim` |
| fail | any | admitted, nothing | honest_failure | check, plus `admission` if admitted |
| none | accepted | claimed | unverified_claim | verdict, at the rates of claims |
| none | accepted | else | weak_success | verdict, at its rates |
| none | rejected | any | weak_failure | verdict, at its rates |
| none | none | any | unscorable | none, which is not 0 |
| any, but infrastructure stopped it | | | infra | none |
| any, but tampered with | | | tampered | none, never a success |

A judge whom a check contradicts was audited: the check decides, and the pair counts.
"""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """Returns the page."""
    parts = (one_judge, mixed, bounds, how_many, votes, claims, missing, confidence)
    return "\n".join([HEAD, *("\n".join(each()) for each in parts), TAIL])


def table(heads: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yields a table."""
    yield f"| {' | '.join(map(str, heads))} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(str(each) for each in row)} |"
    yield ""


def told(values: Any, digits: int = 3) -> str:
    """Returns numbers as people read them."""
    return " ".join(f"{v:.{digits}f}" for v in np.atleast_1d(np.asarray(values, float)))


def array(*values: float) -> np.ndarray:
    """Returns an array of floats."""
    return np.array(values, float)


def prose(text: str) -> str:
    """Returns a paragraph in lines of the page's width."""
    return fill(" ".join(text.split()), 98, break_long_words=False, break_on_hyphens=False) + "\n"


def one_judge() -> Iterator[str]:
    """Yields what one judge with constant rates does."""
    seen, rho0, rho1 = array(1, 0, 1, 0, 0, 0, 1, 0), 0.2, 0.1
    share, j = seen.mean(), 1 - rho0 - rho1
    p = float(true_rate(array(share), rho0, rho1)[0])
    kept = j * (p * (1 - p) / (share * (1 - share))) ** 0.5
    x = backward(array(1, 0), np.full(2, rho0), np.full(2, rho1))
    yield "## One judge, constant rates: another learning rate\n"
    yield prose(f"""
        rho0 {rho0}, rho1 {rho1}, J {j:.1f}. An accepted trajectory is worth (1 - rho0) / J
        = {x[0]:.3f}, a rejected one -rho0 / J = {x[1]:.3f}: on average 1 if it passed, 0 if it
        failed. Of 8 trajectories of which 3 are accepted ({share:.3f}), {p:.2f} pass. GRPO divides
        by the deviation, so that nothing is left to correct but the size of the step: uncorrected
        it is {kept:.3f} of what it would be with true outcomes. Where 1 of 8 is accepted, fewer
        than false positives explain, the group tells nothing and is dropped.""")


def mixed() -> Iterator[str]:
    """Yields what several judges in one group do."""
    seen = array(1, 1, 0, 0, 1, 0)
    rho0, rho1 = array(*[0.3] * 4, 0.02, 0.02), array(*[0.05] * 4, 0.2, 0.2)
    peer = np.zeros(6, np.int64)
    x, w = weighed(seen, rho0, rho1)
    plain = seen - others(seen, np.ones(6), peer)
    yield "## Several judges: who is judged leniently is paid for it\n"
    yield prose("""
        A lenient judge A (.30, .05) and a strict one B (.02, .20) in one group. Uncorrected,
        the trajectories of the lenient one gain on average ([simulated](claims/label_noise.md)).
        Corrected, a "no" of A says more than one of B, and a "yes" of B more than one of A:""")
    rows = [
        [name, *map(told, values)]
        for name, values in (
            ("uncorrected, less the others", plain),
            ("x = (r - rho0) / J", x),
            ("weight J^2", w),
            ("A = x less the others by weight", x - others(x, w, peer)),
            ("P(passed), where .3 pass", posterior(seen, np.full(6, 0.3), rho0, rho1)),
        )
    ]
    yield from table(("", *(f"{j} {int(v)}" for j, v in zip("AAAABB", seen, strict=True))), rows)


def bounds() -> Iterator[str]:
    """Yields what errors in the rates cost."""
    yield "## Rates from above: a failure is paid at most nothing\n"
    yield prose("""
        True rates .2 and .1. What rho0 is taken for decides what a failure is worth on
        average; a pass is worth 1 in every row:""")
    rows: list[Sequence[Any]] = []
    for guess in (0.10, 0.15, 0.20, 0.25, 0.30):
        yes, no = backward(array(1, 0), np.full(2, guess), np.full(2, 0.1))
        rows.append([f"{guess:.2f}", f"{0.2 * yes + 0.8 * no:+.4f}"])
    yield from table(("rho0 taken for", "a failure is worth"), rows)
    yield prose("""
        So rho0 is the upper 90 % bound of what audits saw, rho1 a mean. Audits in which no
        false positive was seen do not say that there is none; 95 % bounds:""")
    sizes = (20, 50, 100, 300)
    seen = [f"{upper(0, n, 0.95):.4f}" for n in sizes]
    yield from table(("audited failures", *sizes), [["rho0 at most", *seen]])
    of = rates(Audits(30, 10, 5, 45, accepted_share=0.4))
    yield prose(f"""
        Audits are drawn of what was accepted and of what was rejected apart. 40 of the
        accepted, 10 of which failed, and 50 of the rejected, 5 of which passed, of a judge that
        accepts .4: rho0 {of.rho0:.3f}, rho1 {of.rho1:.3f}, J {of.j:.3f}. Fewer than 20 failures
        looked at: what the judge accepts is not scored, what it rejects weighs .25. J below .2: it
        is left out, and never turned round.""")
    yield prose("The pass rate behind a judge's .6 of 500, rho0 .15, rho1 .1:")
    rows = []
    for n in (100, 20):
        rate, _, low, high = prevalence(0.6, 0.15, 0.1, n=500, failed=n, passed=n)
        rows.append([f"{n} + {n}", f"{rate:.3f}", f"{low:.3f} to {high:.3f}"])
    yield from table(("audits", "pass rate", "95 %"), rows)


def how_many() -> Iterator[str]:
    """Yields how many audits see something."""
    yield "## An error with a mechanism\n"
    yield prose("""
        No rate corrects a hack that the judge always accepts: the correction keeps the
        order. Success rises, the hack grows beside it and takes over later, though J is above .8
        ([simulated](claims/label_noise.md)). What helps is to see it: audits of accepted items,
        drawn evenly, that show it once with 95 % chance:""")
    shares = (0.2, 0.1, 0.05, 0.024, 0.01)
    heads = ("share of accepted items", *shares)
    yield from table(heads, [["audits", *map(audits_for, shares)]])
    yield prose("""
        Then give it a stratum of its own, leave that out, or, once the mechanism is proven,
        set its outcome to 0.""")


def votes() -> Iterator[str]:
    """Yields what votes are worth."""
    yield "## Votes of one judge are few votes\n"
    yield prose("""
        How often the majority is wrong, where one vote is wrong .2 of the time and errors
        go together with this correlation (`kernels.verdicts.together` measures it); and how many
        independent votes eight are worth:""")
    rows = [
        [t, *(f"{majority_error(0.2, m, t):.4f}" for m in (1, 3, 5, 7)), f"{worth(8, t):.2f}"]
        for t in (0.0, 0.25, 0.53, 0.9)
    ]
    yield from table(("correlation", "1 vote", "3", "5", "7", "8 are worth"), rows)


def claims() -> Iterator[str]:
    """Yields when claiming pays."""
    yield "## Claims\n"
    yield prose("""
        Saying "done" pays for whoever believes, by more than this, that it is; what a claim
        and an admission earn on average at two beliefs, outcome included:""")
    rows: list[Sequence[Any]] = []
    for options in _COSTS:
        by: Any = method("honest_claims", **options)
        pays = [" / ".join(f"{v:.3f}" for v in by.earned(b)) for b in (0.5, 0.6)]
        costs = f"{by.false_claim:g}, {by.admission:g}, {by.under_cost:.3g}"
        rows.append([costs, f"{by.pays_above:.4f}", *pays])
    heads = ("false_claim, admission, under_claim", "pays above", "at .5", "at .6")
    yield from table(heads, rows)


def missing() -> Iterator[str]:
    """Yields what a missing label is not."""
    seen = array(1, 1, 0, np.nan, np.nan)
    filled, some = np.nan_to_num(seen), ~np.isnan(seen)
    left = np.where(some, filled - seen[some].mean(), 0.0)
    yield "## A missing label is not 0\n"
    yield prose(f"""
        Outcomes 1 1 0 and two that infrastructure stopped. Filled with 0 the five get
        {told(filled - filled.mean(), 2)}: whoever meets a full disk is punished. Left out they get
        {told(left, 2)}. Where the better action times out more often, filling reverses the
        preference ([simulated](claims/label_noise.md)). Leaving out is a bias too if the policy can
        bring it about: see `unscored/mean` in `metrics.jsonl`, and the step that says where it has
        risen by 5 points.""")
    yield prose(f"""
        Retries hide failures: attempts that pass .4 of the time, tried until one passes,
        three at most, are recorded as {1 - 0.6**3:.3f}. A label is of one attempt.""")


def confidence() -> Iterator[str]:
    """Yields what a calibrated policy says under noise."""
    q, rho0, rho1 = 0.3, 0.2, 0.1
    said = rho0 + (1 - rho0 - rho1) * q
    fixed = backward(array(said), array(rho0), array(rho1))[0]
    yield "## Stated confidence\n"
    yield prose(f"""
        A proper score under a judge of .2 and .1 teaches a policy that is right .3 of the
        time to say {said:.2f}, the judge's rate. Scored against corrected verdicts it says
        {fixed:.2f}.""")


TAIL: Final = """\
## Sources

Cai et al. 2025, [2510.00915](https://arxiv.org/abs/2510.00915): forward and backward correction.
[2605.02909](https://arxiv.org/abs/2605.02909): systematic errors are decided by their pattern.
[2511.21140](https://arxiv.org/abs/2511.21140): pass rates behind a judge's. Clopper and Pearson
1934: the bound. Kish 1965: what correlated votes are worth. Weighted baseline, strata by claim and
the costs of claims are ours.
"""


if __name__ == "__main__":
    main()
