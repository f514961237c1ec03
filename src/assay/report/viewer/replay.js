// What replay found out: of single steps, and of methods; the page that sums it up.

const replay = report.replay || null;
const VERDICT_WORDS = {
  good: "a good step",
  bad: "a bad step",
  open: "replay cannot tell it from zero",
  unscored: "nobody scored its continuations",
};
const VERDICT_SIGNS = { good: "▲", bad: "▼", open: "○", unscored: "?" };
const METRICS = [
  ["auroc_matters", "Finding the steps that matter", "AUROC of |credit|: steps whose interval excludes zero against all others. Knowing nothing gives .5.", [0, 1, 0.5]],
  ["auroc_sign", "Good steps against bad ones", "AUROC of credit, of the steps that matter. Knowing nothing gives .5.", [0, 1, 0.5]],
  ["rank", "Rank correlation of credit and true advantage", "Knowing nothing gives 0.", [-1, 1, 0]],
  ["sign", "Steps that matter whose credit has the sign of the truth", "Knowing nothing gives .5.", [0, 1, 0.5]],
  ["bias", "Bias: mean / root mean square of credit, less that of the truth", "Above 0 the method pays more than the truth. Knowing nothing gives about 0.", [-2, 2, 0]],
];
const MOST_DECISIONS = 30;

const between = (of) => (of.low === null ? "" : ` [${signed(of.low)}, ${signed(of.high)}]`);

/** Says what replay found of a step: its true advantage, the interval, and what that comes to. */
function truthText(found) {
  if (found.advantage === null) return VERDICT_WORDS.unscored;
  return `true advantage ${signed(found.advantage)}${between(found)}, ${VERDICT_WORDS[found.verdict]}`;
}

const verdictSign = (found) => h("span", { class: `verdict ${found.verdict}`, "aria-hidden": "true" }, VERDICT_SIGNS[found.verdict]);

/** Returns what a card says of a replayed step; nothing of one that was not. */
function replayedBox(found, shape, s) {
  if (!found) return null;
  const told = found.verdict === "good" || found.verdict === "bad";
  const credits = report.methods.map((method) => ({ method, value: unpack(shape.methods[method.name].step, shape.steps.length)[s] }));
  const agrees = (value) => value !== null && value * found.advantage > 0;
  const against = (value) => value !== null && value * found.advantage < 0;
  const counts = [credits.filter(({ value }) => agrees(value)).length, credits.filter(({ value }) => against(value)).length];
  return h("details", { class: "replayed", open: !matchMedia("(max-width: 900px)").matches },
    h("summary", {}, verdictSign(found), h("b", {}, " Replayed: "), truthText(found), "."),
    found.advantage !== null && h("p", { class: "note" }, `Mean outcome ${num(found.before)} from before it, ${num(found.after)} from after it.`,
      told && ` Of ${plural(credits.length, "method")} ${count(counts[0])} credit it with this sign, ${count(counts[1])} with the other.`),
    h("ul", { class: "credits", "aria-label": "Credit of each method" }, credits.map(({ method, value }) =>
      h("li", {}, h("a", { href: toTrajectory(shape.index, { step: shape.steps[s].index, method: method.name === report.reference ? null : method.name }) }, data(method.name)), " ",
        h("span", { class: `value ${shade(value, method.scale)}` }, signed(value)),
        told && (agrees(value) ? h("small", {}, " ✓") : against(value) && h("small", { class: "against" }, " ✕"))))));
}

pages.replay = (root, { params }) => {
  add(root, [h("h1", {}, "Credit against replay")]);
  if (!replay) {
    add(root, [h("p", { class: "plain" }, "No decision of this log was replayed. ", h("code", {}, "assay replay"), " plays the future of some again and leaves what it finds beside the log.")]);
    return { up: to("waste") };
  }
  const truth = replay.truth;
  add(root, [
    replay.trouble.map((line) => h("p", { class: "plain trouble", role: "alert" }, data(line))),
    truth && h("p", { class: "lede truth" }, data(truth.headline)),
    truth && truthSentences(truth).map((line) => h("p", { class: "note" }, line)),
    truth && METRICS.slice(0, 2).map((metric) => metricSection(truth, metric)),
    truth && h("details", { class: "more-metrics" }, h("summary", {}, "Rank correlation, signs, bias"), METRICS.slice(2).map((metric) => metricSection(truth, metric))),
    truth && refusedList(truth),
    decisionsSection(params.get("verdict")),
  ]);
  const links = () => [...root.querySelectorAll(".decisions a")];
  return { move: (by) => moveFocus(links(), by), up: to("waste") };
};

function truthSentences(truth) {
  const { verdicts, matters } = truth;
  const share = matters.value === null ? "" : `The choice matters in ${percent(matters.value)}${matters.low === null ? "" : ` [${percent(matters.low)}, ${percent(matters.high)}]`} of decisions: `;
  return [
    `${plural(truth.compared, "comparison")} with a shuffled control ${truth.compared === 1 ? "was" : "were"} made; if none knew anything, about ${(truth.compared * 0.025).toFixed(1)} would stand above it by chance.`,
    `${share}${count(verdicts.good || 0)} good and ${count(verdicts.bad || 0)} bad steps of ${count(truth.scored)}. Of the other ${count(verdicts.open || 0)} replay cannot tell the value from zero; with ${count(truth.asked.samples)} continuations a side the median interval reaches ${truth.half_width === null ? "–" : truth.half_width.toFixed(2)} either way.`,
    (verdicts.unscored || 0) > 0 && `${plural(verdicts.unscored, "decision")} ${verdicts.unscored === 1 ? "has" : "have"} no value: nobody scored the continuations.`,
    "Intervals: 95 %, tasks drawn anew; none below ten tasks. Shuffled: the same credit in another order inside each trajectory. Drawn: a dot with its interval, and a bar across for the shuffled control.",
  ].filter(Boolean);
}

/** Says a number that is rounded already, with two decimals or those that it has. */
const two = (x) => (x === null ? "–" : (x < 0 ? "−" : "") + Math.abs(x).toFixed(Math.max(2, (String(x).split(".")[1] || "").length)));
const twoBetween = (of) => [two(of.value), of.low !== null && h("small", {}, ` ${two(of.low)} to ${two(of.high)}`)];

function overShuffled(of) {
  if (of.value === 0 && of.low === of.high) return h("small", {}, "constant in time");
  const sure = of.low !== null && (of.low > 0 || of.high < 0);
  return h("span", { class: sure ? "sure" : null }, of.value > 0 ? "+" : "", twoBetween(of));
}

/** Draws a value with its interval between two ends, and its shuffled control as a tick. */
function interval(row, [least, most, nothing]) {
  const x = (value) => 4 + 132 * Math.max(0, Math.min(1, (value - least) / (most - least)));
  const { value, low, high } = row.value;
  if (value === null) return "";
  const shuffled = row.shuffled.value;
  return svg("svg", { class: "interval", width: 140, height: 20, viewBox: "0 0 140 20", "aria-hidden": "true" },
    svg("path", { class: "nothing", d: `M${x(nothing)} 1V19` }),
    low !== null && svg("path", { class: "reach", d: `M${x(low)} 10H${x(high)}` }),
    shuffled !== null && svg("path", { class: "shuffled", d: `M${x(shuffled)} 4V16` }),
    svg("circle", { cx: x(value), cy: 10, r: 4 }));
}

function metricSection(truth, [key, title, note, ends]) {
  const rows = [["methods", truth.methods], ["evidence", truth.evidence]].flatMap(([kind, all]) => Object.entries(all).map(([name, row]) => ({ name, kind, n: row.decisions, row: row[key] })));
  const rank = ({ row }) => (row.over_shuffled.value === null ? -9 : row.over_shuffled.value);
  rows.sort((a, b) => rank(b) - rank(a));
  return section(title, note, table(`${title}, by method`, ["Credit", "#n", "#Itself", "", "#Shuffled", "#Random", "#Over shuffled"], rows.map(({ name, kind, n, row }) => [
    kind === "evidence" ? [h("small", {}, "evidence "), data(name)] : data(name), count(n), twoBetween(row.value), interval(row, ends),
    two(row.shuffled.value), two(row.random.value), overShuffled(row.over_shuffled)]), "judged"));
}

function refusedList(truth) {
  const refused = Object.entries(truth.refused || {});
  return refused.length > 0 && h("details", { class: "more-warnings" }, h("summary", {}, `${plural(refused.length, "method")} not compared`),
    h("ul", { class: "warnings" }, refused.map(([name, why]) => h("li", {}, h("b", {}, data(name)), ": ", data(why)))));
}

/** Returns the list of replayed steps, the surest first, of one verdict or of all. */
function decisionsSection(asked) {
  const { k, step, about } = replay.rows;
  if (!k.length) return null;
  const kinds = Object.keys(VERDICT_WORDS).filter((kind) => about.some((each) => each.verdict === kind));
  const chosen = kinds.includes(asked) ? asked : "";
  const far = (n) => (about[n].verdict === "unscored" ? -1 : (about[n].verdict === "open" ? 0 : 10) + Math.abs(about[n].advantage));
  const order = k.map((_, n) => n).filter((n) => !chosen || about[n].verdict === chosen).sort((a, b) => far(b) - far(a) || a - b);
  const chip = (kind, name) => h("a", { class: "chip", href: to("replay", { verdict: kind }), "aria-current": kind === chosen ? "true" : null }, name);
  const row = (n) => [h("a", { href: toTrajectory(k[n], { step: step[n] }) }, data(`step ${step[n]} of ${T.id[k[n]] || "(no name)"}`)),
    about[n].advantage === null ? "–" : [signed(about[n].advantage), h("small", {}, between(about[n]))],
    h("span", {}, verdictSign(about[n]), ` ${VERDICT_WORDS[about[n].verdict]}`)];
  const box = h("div", { class: "decisions" });
  const put = (most) => clear(box, table("Replayed steps", ["Step", "#True advantage", "Verdict"], order.slice(0, most).map(row)),
    most < order.length && h("button", { type: "button", class: "more", on: { click: () => put(order.length) } }, `Show all ${count(order.length)}`));
  put(MOST_DECISIONS);
  return section("Replayed steps", `${count(k.length)} of ${plural(replay.of, "decision")} in this log. A step that branches of a tree share is played once.`,
    h("div", { class: "chips verdicts", role: "group", "aria-label": "Verdict" }, chip("", "All"), kinds.map((kind) => chip(kind, `${VERDICT_SIGNS[kind]} ${words(kind)} (${count(about.filter((each) => each.verdict === kind).length)})`))), box);
}
