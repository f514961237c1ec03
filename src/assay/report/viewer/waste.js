// The landing page: where the signal went.

pages.waste = (root) => {
  const audit = report.audit;
  const t = audit.trajectories;
  add(root, [
    report.reading && h("p", { class: "reading" }, data(report.reading)),
    h("h1", { class: "headline" }, headlineParts(report.headline)),
    h("p", { class: "lede" },
      `${plural(t.total, "trajectory", "trajectories")} in ${plural(audit.groups.total, "group")}`,
      audit.calls.total ? `, ${plural(audit.calls.total, "tool call")}. ` : ". The log holds no tool call. ",
      `A trajectory is one attempt at a task; those of a group are compared. Lengths are in ${unit}. `,
      scoredAny && "Shown first is what GRPO, which most trainers use, would do with them."),
    trustSection(audit),
    scoredAny && adviceSection(),
    scoredAny ? outcomeSections(audit) : behaviourSections(audit),
    h("div", { class: scoredAny ? "pair" : "" }, scoredAny && passSection(audit), lossSection()),
  ]);
};

const outcomeSections = (audit) => [
    fateSection(audit),
    h("div", { class: "pair" }, groupSection(audit), callSection(audit)),
    recoveredSection(audit),
];

/** Sets the numbers of the headline in bold, and what it adds after a semicolon smaller. */
function headlineParts(text) {
  const [first, ...also] = text.split("; ");
  return [boldNumbers(first), also.length > 0 && ["; ", h("span", { class: "also" }, boldNumbers(also.join("; ")))]];
}

function boldNumbers(text) {
  return text.split(/(\d[\d.,]*(?: [MG])?(?: %)?|\ball\b|^All\b|\bnone\b)/).map((part, i) => (i % 2 ? h("b", {}, part) : part));
}

const MOST_WARNINGS = 6;

function trustSection(audit) {
  const trust = audit.trust;
  const claims = audit.claims;
  const total = audit.trajectories.total;
  const claimed = claims.claimed_verified + claims.claimed_failed;
  const shared = (share) => [`${count(Math.round(share * total))} of ${count(total)}`, share > 0];
  const tiles = [
    tile("Stopped by infrastructure", ...shared(trust.infra_share)),
    tile("Unscored", ...shared(trust.unscored_share)),
    tile("Cut off by their own budget", count(audit.trajectories.by_end.budget || 0), false),
    tile("Copies of another attempt", count(trust.duplicates), trust.duplicates > 0),
    scoredAny && claimed > 0 && tile("“Done”, but failed", `${count(claims.claimed_failed)} of ${count(claimed)}`,
      (trust.false_claim_share || 0) > 0.1, toClaims("claimed_failed")),
  ];
  const warnings = trust.warnings || [];
  const list = (some) => h("ul", { class: "warnings" }, some.map((each) => h("li", {}, options(each))));
  const first = warnings.length > MOST_WARNINGS + 1 ? warnings.slice(0, MOST_WARNINGS) : warnings;
  return section("Can the rewards be trusted?", null,
    h("ul", { class: "tiles" }, tiles),
    first.length > 0 && list(first),
    first.length < warnings.length && h("details", { class: "more-warnings" },
      h("summary", {}, `${count(warnings.length - first.length)} more on how the log was read`), list(warnings.slice(first.length))));
}

function tile(name, value, attention, link) {
  const figure = h("b", {}, value);
  return h("li", { class: attention ? "tile attention" : "tile" },
    link ? h("a", { href: link }, figure) : figure,
    h("span", {}, name, attention && h("span", { class: "unseen" }, " (look here)")));
}

/** Returns what keeps the log from teaching, one reason a line, each with what can be done. */
function adviceSection() {
  const { verdict, rows } = report.advice;
  if (rows.length === 0) return null;
  return section("What is in the way, and what to do", verdict,
    h("ul", { class: "advice" }, rows.map(([why, what, fate]) => h("li", {},
      h("b", {}, fate ? h("a", { href: to("groups", { fate }) }, why) : why), " ", options(what)))));
}

function fateSection(audit) {
  const kinds = report.fates.filter((kind) => kind in audit.fate)
    .concat(Object.keys(audit.fate).filter((kind) => !report.fates.includes(kind)));
  const parts = kinds.map((kind) => [kind, audit.fate[kind][unit] || 0]);
  const total = Math.max(1, parts.reduce((sum, [, n]) => sum + n, 0));
  const rows = parts.filter(([kind, n]) => n > 0 || audit.fate[kind].trajectories > 0).map(([kind, n]) => [
    h("span", { class: "kind" }, swatch(kind), h("span", {}, h("b", {}, fateName(kind)),
      h("small", {}, (FATE_WORDS[kind] || ["", ""])[1]))),
    count(audit.fate[kind].trajectories), count(n), part(n, total)]);
  if (rows.length === 0) return section(`Where the ${unit} went`, null, h("p", { class: "plain" }, "The log holds no text of the policy."));
  return section(`Where the ${unit} went`, null,
    stacked(parts, "shares by fate; the table below has the numbers"),
    table(`What became of the ${unit} that the policy wrote`,
      ["Fate", "#Trajectories", "#" + unit[0].toUpperCase() + unit.slice(1), "#Share"], rows, "fates"));
}

function groupSection(audit) {
  const total = Math.max(1, audit.groups.total);
  const rows = Object.keys(GROUP_WORDS).filter((fate) => audit.groups[fate] > 0).map((fate) => [
    h("span", { class: "kind" }, h("span", {}, h("a", { href: to("groups", { fate }) }, groupName(fate)),
      h("small", {}, GROUP_WORDS[fate][1]))),
    count(audit.groups[fate]), part(audit.groups[fate], total)]);
  const { dead, graded } = audit.groups;
  return section("Groups by fate",
    [dead !== undefined && `${count(dead)} of ${count(audit.groups.total)} ${dead === 1 || audit.groups.total === 1 ? "is" : "are"} dead: no outcome differs from another. `,
      graded > 0 && `In ${count(graded)} none passes, and outcomes differ: not dead. `,
      report.dead.length > 0 && h("a", { href: to("dead") }, rescueRows.length ? "See what was tried where all failed, and what came of it." : "See what could be tried where all failed.")],
    table("Groups by fate", ["Fate", "#Groups", "#Share"], rows));
}

function callSection(audit) {
  const calls = audit.calls;
  if (calls.total === 0) return null;
  const right = calls.punished_correct;
  const levels = [
    ["An expert action", "one of the task’s known solution steps", calls.punished_expert],
    ["Made by a successful sibling", "same name, same arguments", calls.punished_sibling],
    ["On a path to success", "by the environment’s state", calls.punished_state],
    ["Any of these", "punished though correct", right],
    ["Averages out", "of the last: rewarded as much in the same place", calls.punished_variance, right],
    ["Not shown to average out", "of it too: the rest", calls.punished_systematic, right],
  ];
  const rows = levels.filter(([, , n]) => n > 0).map(([name, why, n, of = calls.punished]) => [
    h("span", { class: "kind" }, h("span", {}, name, h("small", {}, why))), count(n), part(n, of)]);
  const errors = `${count(calls.error)} of all ${plural(calls.total, "call")} ${calls.error === 1 ? "was" : "were"} answered by an error.`;
  return section("Punished calls, by evidence",
    `${calls.punished ? plural(calls.punished, "call") : "No call"} with an advantage below 0 under GRPO${calls.punished && rows.length === 0 ? ", none of them right by evidence" : ""}; ${errors}`,
    rows.length > 0 && table("Punished calls by evidence", ["Evidence", "#Calls", "#Share"], rows));
}

function recoveredSection(audit) {
  if (!Object.values(audit.fate).some((each) => each[unit] > 0)) return null; // nobody wrote a step to recover
  const entries = Object.entries(audit.recovered)
    .sort(([, a], [, b]) => b.share_of_dead - a.share_of_dead || b.steps - a.steps);
  const live = entries.filter(([, each]) => each.steps > 0);
  const none = entries.filter(([, each]) => each.steps === 0).map(([name]) => name);
  const rows = live.map(([name, each]) => [
    h("a", { href: to("groups", { method: name === report.reference ? null : name }), title: "the groups under this method" }, data(name)),
    h("span", { class: "measure" }, bar(each.share_of_dead), part(each.steps, Math.round(each.steps / each.share_of_dead))),
    count(each.steps), count(each.groups)]);
  const missing = Object.entries(audit.not_applicable || {});
  const refused = missing.length > 0 && h("details", {}, h("summary", {}, `${plural(missing.length, "method")} could not run on this set`),
    h("dl", {}, missing.map(([name, why]) => [h("dt", {}, data(name)), h("dd", {}, data(why))])));
  if (audit.groups.dead === 0) return refused && section("Other methods", "No group is dead: there is nothing that other methods would recover.", refused);
  return section("What other methods would recover",
    "Steps of dead groups that get an advantage other than 0. That is a signal, and not yet a good one: see the page of each method.",
    rows.length > 0 ? table("What other methods would recover", ["Method", "Share of dead steps", "#Steps", "#Groups"], rows, "recovered")
      : h("p", { class: "plain" }, "None of the methods reaches a step of a dead group."),
    none.length > 0 && rows.length > 0 && h("p", { class: "note" }, `Nothing: ${none.join(", ")}.`), refused);
}

function passSection(audit) {
  const ks = Object.keys(audit.pass_at_k || {}).sort((a, b) => a - b);
  if (ks.length === 0) return null;
  let drawn = false;
  const cell = (name, k) => {
    const [low, high] = (audit[`${name}_interval`] || {})[k] || [null, null];
    const wide = low !== null && high !== null && low < high;
    drawn = drawn || wide;
    return [rate(audit[name][k]), wide && h("small", {}, `  ${rate(low)} to ${rate(high)}`)];
  };
  const rows = ks.map((k) => [k, cell("pass_at_k", k), cell("pass_hat_k", k), count((audit.pass_k_groups || {})[k] || 0)]);
  return section("pass@k and pass^k",
    ["pass@k: how often at least one of k attempts at a task passes. pass^k: how often all k pass. Over groups of k or more scored attempts.",
      drawn && " Small: 95 % intervals over groups."],
    table("pass@k and pass^k", ["k", "#pass@k", "#pass^k", "#Groups"], rows));
}

function lossSection() {
  const secrets = Object.entries(report.redacted || {});
  return section("How the log was read", null,
    report.losses.length > 0 ? table("Losses of the import", ["Told apart, guessed or left out", "#Times"],
      report.losses.map(([kind, n, means]) => [means ? h("span", { class: "kind" }, h("span", {}, data(means), h("small", {}, h("code", {}, kind)))) : h("code", { class: "data" }, kind), count(n)]))
      : h("p", { class: "plain" }, "The import carried everything over."),
    report.redacted === null ? h("p", { class: "note" }, "Secrets were not searched for.")
      : secrets.length === 0 ? h("p", { class: "note" }, "No secret was found in the texts.")
        : table("Secrets hidden", ["Hidden as a secret", "#Times"], secrets.map(([kind, n]) => [words(kind), count(n)])));
}
