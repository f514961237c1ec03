// A rubric's verdicts in a group: attempts as rows, items as columns; and what it rejected over a run.

const rubric = report.rubric || { items: [], texts: [], essential: [], mode: "", verdicts: [] };
const hasRubric = lastOf("rubric/rejected") !== null;
const GATED = { veto: "vetoed", drop: "left out" }; // what becomes of an attempt that fails an essential item, by mode

/** Returns the matrix of a group, what gates first; null: no item has a verdict there. */
function rubricMatrix(members) {
  const asked = rubric.items.map((_, j) => j).filter((j) => members.some((m) => rubric.verdicts[j][m.index] !== null))
    .sort((i, j) => rubric.essential[j] - rubric.essential[i] || i - j);
  if (!asked.length) return null;
  const of = (j, value) => members.filter((m) => rubric.verdicts[j][m.index] === value).length;
  const never = asked.filter((j) => of(j, 1) === 0).length;
  const open = asked.reduce((sum, j) => sum + of(j, null), 0);
  const gates = asked.filter((j) => rubric.essential[j]);
  const gated = gates.length > 0 && Object.hasOwn(GATED, rubric.mode);
  const head = ["Attempt", ...(gated ? ["Gate"] : []), ...asked.map((j) => rubric.items[j])];
  const rows = members.map((m) => [h("a", { href: toTrajectory(m.index) }, data(m.id || "(no name)")), ...(gated ? [gateCell(gates.map((j) => rubric.verdicts[j][m.index]))] : []), ...asked.map((j) => rubricCell(rubric.verdicts[j][m.index]))]);
  const sums = ["Pass", ...(gated ? [""] : []), ...asked.map((j) => `${count(of(j, 1))} of ${count(of(j, 1) + of(j, 0))}`)];
  return section("Rubric", `What each attempt passes. ${never ? `${plural(never, "item")} that none passes.` : "Every item is passed by one or more."}${open ? ` ${plural(open, "verdict")} not given: that is no failure.` : ""}`,
    table("Verdicts by attempt and item", head, [...rows, sums], "rubric"),
    asked.some((j) => rubric.texts[j]) && h("ul", { class: "rubric-items" }, asked.filter((j) => rubric.texts[j]).map((j) =>
      h("li", {}, data(rubric.items[j]), rubric.essential[j] ? h("small", {}, " essential") : null, ": ", data(rubric.texts[j])))));
}

const rubricCell = (value) => (value === null ? h("span", { class: "verdict open" }, "not judged") : value === 1
  ? h("span", { class: "verdict pass" }, "✓ passes") : h("span", { class: "verdict fail" }, "✗ fails"));

/** Says what verdicts on essential items come to: one failure decides, whatever is not known. */
const gateCell = (values) => (values.includes(0) ? h("span", { class: "verdict fail" }, GATED[rubric.mode]) : values.includes(null)
  ? h("span", { class: "verdict open" }, "not judged") : h("span", { class: "verdict pass" }, "passes"));

/** Returns what a rubric rejected, by step of the run. */
function rubricTrust() {
  if (!hasRubric) return null;
  const column = (name) => metricOf(`rubric/${name}`) || metrics.step.map(() => null);
  const lines = [{ name: "groups skipped", kind: "down", values: column("rejected") }];
  if (lastOf("rubric/exploited") !== null) lines.push({ name: "newly credited, rejected by the panel", kind: "up", values: column("exploited") });
  const reasons = Object.keys(metrics.columns).filter((name) => name.startsWith("rubric/rejected/")).map((name) => words(name.slice(16)));
  return [section("What the rubric rejected", `Groups that taught nothing, for a reason of the rubric's: ${reasons.join(", ") || "none"}.`,
    lineChart("Share rejected, by step", metrics.step, lines, 0, 1)), rubricScores(column), rubricShown(column), rubricGap(column("gap"))];
}

/** Returns the score of items that persist beside that of all; null: no model proposed any. */
function rubricScores(column) {
  if (lastOf("rubric/score") === null) return null;
  const lines = [{ name: "items that persist", kind: "up", values: column("persistent") }, { name: "all, a model's among them", kind: "down", values: column("score") }];
  const known = lines.flatMap((line) => line.values).filter((value) => value !== null);
  return section("Score of graded items", "A model proposed some of the items: scores by all of them cannot be compared with those of another version of the rubric.",
    lineChart("Mean score, by step", metrics.step, lines, Math.min(0, ...known), Math.max(1, ...known)));
}

/** Returns how much of the rubric rollouts read; null: nobody read any. */
function rubricShown(column) {
  if (lastOf("rubric/shown") === null) return null;
  const lines = [{ name: "items read, mean share", kind: "up", values: column("shown") }, { name: "outcome of those that read any", kind: "down", values: column("aided_reward") }];
  return section("The rubric as a scaffold", "Part of a group read items of the rubric under their task, and is trained without them. Its outcomes are in no rate.",
    lineChart("Items read, by step", metrics.step, lines, lines[1].values.reduce((a, b) => Math.min(a, b ?? 0), 0), 1));
}

/** Returns how far the policy has taken in what helped it; null: that was not measured. */
function rubricGap(gap) {
  const known = gap.filter((value) => value !== null);
  if (!known.length) return null;
  return section("Self-internalisation gap", "Of tokens that were sampled with help: log-probability without it less with it, nats a token. Where the help is the rubric it rises towards 0 while the policy takes it in; where it turns, stop.",
    lineChart("Gap, by step", metrics.step, [{ name: "nats a token", kind: "up", values: gap }],
      Math.floor(10 * Math.min(0, ...known)) / 10, Math.ceil(10 * Math.max(0, ...known)) / 10, [0]));
}
