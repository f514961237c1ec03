// Small things that several pages show.

const FATE_WORDS = {
  trained_up: ["Trained up", "in attempts that did better than their group"],
  trained_down: ["Trained down", "in attempts that did worse, and no evidence that it was right"],
  punished_correct: ["Punished though correct", "calls of failed attempts that evidence says were right"],
  neutral: ["Neutral", "advantage of exactly 0 in a group that teaches"],
  truncated: ["Truncated", "punished text of attempts that their own budget cut off"],
  dead: ["Dead group", "no outcome of the group differs, so nothing is compared"],
  unscored: ["Unscored", "nobody knows the outcome"],
  infrastructure: ["Infrastructure", "stopped by a failure that was not the policy's"],
  masked: ["Masked", "marked as not to be trained on"],
  drifted: ["Drifted", "the tokens are not the ones that were sampled"],
};
const GROUP_WORDS = {
  mixed: ["Mixed", "some pass and some fail: this is what teaches"],
  all_fail: ["All fail", "no attempt passes"],
  all_pass: ["All pass", "every attempt passes"],
  constant_partial: ["Same partial", "no attempt passes, all with the same outcome above 0"],
  single: ["Single", "one scored attempt, nothing to compare with"],
  unscored: ["Unscored", "no attempt has an outcome"],
};
const END_WORDS = { answered: "ended by itself", budget: "cut off by its budget", infra: "stopped by infrastructure", unknown: "end not recorded" };
const CLAIM_WORDS = { claimed: "says done", admitted: "says not done", none: "says nothing" };

const CATEGORY_WORDS = { // none where outcome, claim and end say it already
  true_success: "passed, and the agent did not say that it failed",
  under_claim: "passed, though the agent says that it failed",
  false_success: "failed, though the agent says that it is done",
  honest_failure: "failed, and the agent does not say that it is done",
  unverified_claim: "nobody verified what the agent says",
  weak_success: "passed by the word of a judge or a next state alone",
  weak_failure: "failed by the word of a judge or a next state alone",
  disputed: "sources of one level of evidence differ",
  tampered: "the agent tampered with what judges it",
};
const SAID_ALREADY = ["unscored", "infra"]; // why a gate left something out, where the line says it anyway

const fateName = (kind) => (FATE_WORDS[kind] || [words(kind)])[0];

/** Says what became of a run, -1 of what was not sampled for this trajectory. */
const fateOfRun = (run) => (run.fate < 0 ? "Not the policy's." : `${fateName(report.fates[run.fate])} under ${report.reference}.`);

const groupName = (fate) => (GROUP_WORDS[fate] || [words(fate)])[0];

/** Returns the class of an advantage on the colour ramp: n5 ... n1, zero, p1 ... p5, or none. */
function shade(value, scale) {
  if (value === null || value === undefined) return "none";
  if (value === 0) return "zero";
  const level = Math.min(5, Math.max(1, Math.ceil((5 * Math.abs(value)) / scale)));
  return (value > 0 ? "p" : "n") + level;
}

const data = (text, tag) => h(tag || "span", { class: "data" }, text);

/** Returns a text in which what is typed, such as --outcome, stands as code. */
const options = (text) => h("span", { class: "data" }, text.split(/(--[a-z][a-z-]*|\bassay label\b)/).map((piece, i) => (i % 2 ? h("code", {}, piece) : piece)));

const swatch = (kind) => h("i", { class: `swatch fate-${kind}`, "aria-hidden": "true" });

const badge = (text, kind, why) => h("span", { class: `badge ${kind || ""}`, title: why }, text);

function fateBadge(fate) {
  const [name, why] = GROUP_WORDS[fate] || [words(fate), ""];
  return badge(name, `group-${fate}`, why);
}

function gradeOf(outcome, passed) {
  if (outcome === null) return "unscored";
  return passed ? "passed" : outcome > 0 ? "partial" : "failed";
}

const outcomeClass = (k) => gradeOf(T.outcome[k], T.passed[k]);
const GRADE_WORDS = { unscored: "unscored", passed: "passed", partial: "partly", failed: "failed" };
const outcomeWord = (k) => GRADE_WORDS[outcomeClass(k)];

/** Returns the outcome as a small square: full passed, half partly, hollow failed, dotted unscored; ringed with help. */
const square = (k) => h("i", { class: `square ${outcomeClass(k)}${rescueAt.has(k) ? " helped" : ""}`, "aria-hidden": "true" });

function squares(g) {
  const ks = G.members[g];
  const shown = ks.slice(0, 16);
  const unscored = G.sessions[g] - G.scored[g];
  const label = `${plural(G.passed[g], "pass", "passes")} in ${G.scored[g]}${unscored ? `, ${unscored} unscored` : ""}${withHelp(g)}`;
  return h("span", { class: "squares", role: "img", "aria-label": label }, shown.map(square),
    ks.length > shown.length && h("small", {}, `+${ks.length - shown.length}`));
}

/** Returns what is a trajectory's own in its name: what follows the name of its group. */
function shortId(member) {
  const group = G.id[T.group[member.index]];
  return group && member.id.startsWith(group) && member.id.length > group.length ? member.id.slice(group.length).replace(/^[/:.#-]/, "") : member.id;
}

/** Returns a stacked bar of [kind, amount] pairs. */
function stacked(parts, label) {
  const total = parts.reduce((sum, [, n]) => sum + n, 0);
  const pieces = parts.filter(([, n]) => n > 0).map(([kind, n]) =>
    h("i", { class: `fate-${kind}`, style: { "flex-grow": String(n / total) }, title: `${fateName(kind)}: ${percent(n / total)}` }));
  return h("div", { class: "stacked", role: "img", "aria-label": label }, pieces);
}

const bar = (share) => h("i", { class: "bar", "aria-hidden": "true" },
  h("i", { style: { width: `${Math.max(0, Math.min(1, share)) * 100}%` } }));

function table(caption, head, rows, kind) {
  return h("div", { class: "scroll" }, h("table", { class: kind || "" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, head.map((name) =>
      h("th", { scope: "col", class: name.startsWith("#") ? "n" : null }, name.replace(/^#/, ""))))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, i) =>
      i === 0 ? h("th", { scope: "row" }, cell) : h("td", { class: head[i].startsWith("#") ? "n" : null }, cell)))))));
}

function section(title, note, ...children) {
  const id = "s-" + title.toLowerCase().replace(/[^a-z]+/g, "-");
  return h("section", { "aria-labelledby": id }, h("h2", { id }, title), note && h("p", { class: "note" }, note), children);
}

/** Returns the ramp as a legend, from most pushed down to most pushed up. */
function legend() {
  const steps = ["n5", "n3", "n1", "zero", "p1", "p3", "p5"];
  return h("div", { class: "legend", role: "img", "aria-label": "orange, dotted underline: pushed down; blue, solid underline: pushed up" },
    h("span", {}, "pushed down"), steps.map((s) => h("i", { class: `cell ${s}` })), h("span", {}, "pushed up"),
    h("i", { class: "cell none" }), h("span", {}, "not credited"));
}
