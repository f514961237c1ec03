// The landing page: where the signal went.

pages.waste = (root) => {
  const audit = report.audit;
  const t = audit.trajectories;
  add(root, [
    h("h1", { class: "headline" }, headlineParts(report.headline)),
    h("p", { class: "lede" },
      `${plural(t.total, "trajectory", "trajectories")} in ${plural(audit.groups.total, "group")}, `,
      `${plural(audit.calls.total, "tool call")}, measured in ${unit}.`, scoredAny && ` Fates are read off ${report.reference}.`),
    trustSection(audit),
    scoredAny ? outcomeSections(audit) : behaviourSections(audit),
    h("div", { class: scoredAny ? "pair" : "" }, scoredAny && passSection(audit), lossSection(audit)),
  ]);
};

const outcomeSections = (audit) => [
    fateSection(audit),
    h("div", { class: "pair" }, groupSection(audit), callSection(audit)),
    recoveredSection(audit),
];

/** Sets the numbers of the headline in bold. */
function headlineParts(text) {
  return text.split(/(\d[\d.,]*(?: [MG])?(?: %)?)/).map((part, i) => (i % 2 ? h("b", {}, part) : part));
}

function trustSection(audit) {
  const trust = audit.trust;
  const claims = audit.claims;
  const claimed = claims.claimed_verified + claims.claimed_failed;
  const tiles = [
    tile("Stopped by infrastructure", percent(trust.infra_share), trust.infra_share > 0),
    tile("Unscored", percent(trust.unscored_share), trust.unscored_share > 0),
    tile("Cut off by their own budget", count(audit.trajectories.by_end.budget || 0), false),
    tile("Copies of another attempt", count(trust.duplicates), trust.duplicates > 0),
    scoredAny && tile("“Done”, but failed", claimed ? `${count(claims.claimed_failed)} of ${count(claimed)}` : "–",
      (trust.false_claim_share || 0) > 0.1, toClaims("claimed_failed")),
  ];
  const warnings = trust.warnings || [];
  return section("Can the rewards be trusted?", null,
    h("ul", { class: "tiles" }, tiles),
    warnings.length > 0 && h("ul", { class: "warnings" }, warnings.map((each) => h("li", {}, data(each)))));
}

function tile(name, value, attention, link) {
  const figure = h("b", {}, value);
  return h("li", { class: attention ? "tile attention" : "tile" },
    link ? h("a", { href: link }, figure) : figure,
    h("span", {}, name, attention && h("span", { class: "unseen" }, " (look here)")));
}

function fateSection(audit) {
  const kinds = report.fates.filter((kind) => kind in audit.fate)
    .concat(Object.keys(audit.fate).filter((kind) => !report.fates.includes(kind)));
  const parts = kinds.map((kind) => [kind, audit.fate[kind][unit] || 0]);
  const total = Math.max(1, parts.reduce((sum, [, n]) => sum + n, 0));
  const rows = parts.filter(([kind, n]) => n > 0 || audit.fate[kind].trajectories > 0).map(([kind, n]) => [
    h("span", { class: "kind" }, swatch(kind), h("span", {}, h("b", {}, fateName(kind)),
      h("small", {}, (FATE_WORDS[kind] || ["", ""])[1]))),
    count(audit.fate[kind].trajectories), count(n), percent(n / total)]);
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
    count(audit.groups[fate]), percent(audit.groups[fate] / total)]);
  const dead = audit.groups.dead;
  return section("Groups by fate",
    dead === undefined ? null : `${count(dead)} of ${count(audit.groups.total)} are dead: no outcome differs from another.`,
    table("Groups by fate", ["Fate", "#Groups", "#Share"], rows));
}

function callSection(audit) {
  const calls = audit.calls;
  if (calls.total === 0) return section("Punished calls, by evidence", null, h("p", { class: "plain" }, "The log holds no tool call."));
  const right = calls.punished_correct;
  const levels = [
    ["An expert action", "one of the task’s known solution steps", calls.punished_expert],
    ["Made by a successful sibling", "same name, same arguments", calls.punished_sibling],
    ["On a path to success", "by the environment’s state", calls.punished_state],
    ["Any of these", "punished though correct", right],
    ["Averages out", "share of the last: rewarded as much in the same place", calls.punished_variance, right],
    ["Not shown to average out", "share of it too: the rest", calls.punished_systematic, right],
  ];
  const rows = levels.map(([name, why, n, of = calls.punished]) => [
    h("span", { class: "kind" }, h("span", {}, name, h("small", {}, why))), count(n), percent(n / Math.max(1, of))]);
  return section("Punished calls, by evidence",
    `${plural(calls.punished, "call")} with an advantage below 0 under GRPO; ${count(calls.error)} of all ${count(calls.total)} were answered by an error.`,
    table("Punished calls by evidence", ["Evidence", "#Calls", "#Share"], rows));
}

function recoveredSection(audit) {
  const entries = Object.entries(audit.recovered)
    .sort(([, a], [, b]) => b.share_of_dead - a.share_of_dead || b.steps - a.steps);
  const live = entries.filter(([, each]) => each.steps > 0);
  const none = entries.filter(([, each]) => each.steps === 0).map(([name]) => name);
  const rows = live.map(([name, each]) => [
    h("a", { href: to("groups", { method: name === report.reference ? null : name }), title: "the groups under this method" }, data(name)),
    h("span", { class: "measure" }, bar(each.share_of_dead), percent(each.share_of_dead)),
    count(each.steps), count(each.groups)]);
  const missing = Object.entries(audit.not_applicable || {});
  return section("What other methods would recover",
    "Share of the steps in dead groups that get an advantage other than 0.",
    rows.length > 0 ? table("What other methods would recover", ["Method", "Share of dead steps", "#Steps", "#Groups"], rows, "recovered")
      : h("p", { class: "plain" }, "None of the methods reaches a step of a dead group."),
    none.length > 0 && rows.length > 0 && h("p", { class: "note" }, `Nothing: ${none.join(", ")}.`),
    missing.length > 0 && h("details", {}, h("summary", {}, `${plural(missing.length, "method")} could not run on this set`),
      h("dl", {}, missing.map(([name, why]) => [h("dt", {}, data(name)), h("dd", {}, data(why))]))));
}

function passSection(audit) {
  const ks = Object.keys(audit.pass_at_k || {}).sort((a, b) => a - b);
  const cell = (name, k) => {
    const interval = (audit[`${name}_interval`] || {})[k];
    return [rate(audit[name][k]), interval && interval[0] !== null &&
      h("small", {}, `  ${rate(interval[0])} to ${rate(interval[1])}`)];
  };
  const rows = ks.map((k) => [k, cell("pass_at_k", k), cell("pass_hat_k", k)]);
  return section("pass@k and pass^k", "At least one of k passes; all of k pass. 95 % intervals over groups.",
    rows.length > 0 ? table("pass@k and pass^k", ["k", "#pass@k", "#pass^k"], rows)
      : h("p", { class: "plain" }, "No attempt has an outcome."));
}

function lossSection(audit) {
  const losses = Object.entries(audit.losses || {});
  const secrets = Object.entries(report.redacted || {});
  return section("What the report leaves out", null,
    losses.length > 0 ? table("Losses of the import", ["Not carried over by the import", "#Times"],
      losses.map(([kind, n]) => [data(kind), count(n)]))
      : h("p", { class: "plain" }, "The import carried everything over."),
    report.redacted === null ? h("p", { class: "note" }, "Secrets were not searched for.")
      : secrets.length === 0 ? h("p", { class: "note" }, "No secret was found in the texts.")
        : table("Secrets hidden", ["Hidden as a secret", "#Times"], secrets.map(([kind, n]) => [words(kind), count(n)])));
}
