// How far sources of hints and judges were to be trusted while the policy moved: a run's metrics.

const metrics = report.metrics || { step: [], source: "", columns: {} };
const LEAST_J = 0.2; // below it a judge says too little to be used
const metricOf = (name) => (Object.hasOwn(metrics.columns, name) ? metrics.columns[name] : null);

/** Returns the last number of a column; null: there is none. */
function lastOf(name) {
  const known = (metricOf(name) || []).filter((value) => value !== null);
  return known.length ? known[known.length - 1] : null;
}

/** Returns the names in columns such as hints/NAME/admitted; "" for a column without one. */
const namedIn = (kind, last) => Object.keys(metrics.columns).filter((name) => name === `${kind}/${last}` || (name.startsWith(`${kind}/`) && name.endsWith(`/${last}`)))
  .map((name) => name.slice(kind.length + 1, Math.max(kind.length + 1, name.length - last.length - 1)));
const hintSources = namedIn("hints", "admitted");
const judgeNames = namedIn("judge", "j");
const hasLater = lastOf("rescue/later") !== null;
const practised = Object.keys(metrics.columns).filter((name) => name.startsWith("schedule/weight/")).map((name) => name.slice(16));
const hasTrust = hintSources.length > 0 || judgeNames.length > 0 || hasLater || practised.length > 0 || lastOf("rubric/rejected") !== null;

function hintTrust() {
  return hintSources.map((name) => {
    const column = (last) => metricOf(name ? `hints/${name}/${last}` : `hints/${last}`) || metrics.step.map(() => null);
    const [uplift, lower, pairs, admitted, way] = ["uplift", "lower", "pairs", "admitted", "by_progress"].map(column);
    const by = (n) => (way[n] ? ", by progress" : "");
    const source = name || metrics.source;
    const known = [...uplift, ...lower].filter((value) => value !== null);
    const acting = admitted.filter((value) => value > 0).length;
    const last = uplift.findLastIndex((value) => value !== null);
    const texts = (values) => values.map((value, n) => `${points(value)} of ${num(pairs[n])} pairs, ${admitted[n] ? "admitted" : "not admitted"}${by(n)}`);
    return section(`Trust of hints${source ? ` by ${Object.hasOwn(SOURCE_WORDS, source) ? SOURCE_WORDS[source] : source}` : ""}`,
      `Paired replays: the same task told the hint, and told a neutral one. It acts while the lower bound (90 %, one-sided) of what that adds to the pass rate${way.includes(1) ? ", or where too few pass to tell, to progress," : ""} is above 0, unless hints.admit is off: admitted at ${count(acting)} of ${plural(metrics.step.length, "step")}.`,
      last < 0 ? h("p", { class: "plain" }, "It was never measured: there was no hint to replay a task with, or hints.admit is off, and it acts unmeasured.") : [
        h("p", {}, `Last: ${points(uplift[last])}, at least ${points(lower[last])}, of ${num(pairs[last])} pairs${by(last)}: `, badge(admitted[last] ? "admitted" : "not admitted", admitted[last] ? "dead-rescued" : "dead-vain")),
        lineChart(`What hints add to the pass rate${way.includes(1) ? " or to progress" : ""}, by step`, metrics.step, [{ name: "uplift", kind: "up", values: uplift, texts: texts(uplift) }, { name: "its lower bound", kind: "down", values: lower, texts: texts(lower) }],
          known.reduce((a, b) => Math.min(a, b), 0), known.reduce((a, b) => Math.max(a, b), 0), [0])]);
  });
}

const points = (x) => (x === null ? "–" : `${x > 0 ? "+" : x < 0 ? "−" : ""}${(100 * Math.abs(x)).toFixed(1)} points`);

function laterSection() {
  const [later, of, paid] = ["later", "later_of", "again_tokens"].map((name) => metricOf(`rescue/${name}`) || []);
  const rungs = namedIn("rescue", "later").filter((name) => name && lastOf(`rescue/${name}/later`) !== null);
  const last = later.findLastIndex((value) => value !== null);
  return section("What rescued tasks came to later, without help",
    "Passes at a task's next visit after its rescue, or where it was played again for this alone: all since the beginning. Success with help is left out.",
    h("p", {}, `Last: ${percent(later[last])} of ${plural(of[last] ?? 0, "trajectory", "trajectories")}${rungs.map((name) => `; ${words(name)}: ${percent(lastOf(`rescue/${name}/later`))}`).join("")}. Played for it: ${plural(paid.reduce((a, b) => a + (b || 0), 0), "token")}.`),
    lineChart("Passes of rescued tasks later, by step", metrics.step, [{ name: "passes without help", kind: "up", values: later, texts: later.map((value, n) => `${percent(value)} of ${num(of[n] ?? null)}`) }], 0, 1));
}

function judgeTrust() {
  return judgeNames.map((name) => {
    const j = metricOf(`judge/${name}/j`);
    const wrong = metricOf(`judge/${name}/rho0`) || metrics.step.map(() => null);
    const least = j.reduce((a, b) => Math.min(a, b ?? 0), 0);
    const low = j.filter((value) => value !== null && value < LEAST_J).length;
    return section(`Trust of judge ${name}`,
      `J: what it accepts of successes less what it accepts of failures; 0 is a coin. Below ${LEAST_J} it is left out${low ? `: at ${plural(low, "step")}` : ""}.`,
      lineChart(`J of judge ${name}, by step`, metrics.step, [{ name: "J", kind: "up", values: j }, { name: "failures that it accepts", kind: "down", values: wrong }], least, 1, [LEAST_J]));
  });
}
