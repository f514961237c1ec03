// Step cards: what was written, what came back, what it was credited with, and why.

const FOLDED = 700;
const MOST_SHOWN = 20000;

/** Returns text that folds when long. Line breaks stay as they are; nothing is interpreted. */
function longText(text, folded, draw) {
  const box = h("div", { class: "text data" });
  if (text.length <= folded * 1.3) {
    box.append(draw ? draw(text) : document.createTextNode(text));
    return box;
  }
  const more = h("button", { type: "button", class: "more" });
  let stage = 0;
  const put = () => {
    const shown = [folded, MOST_SHOWN, text.length][stage];
    const whole = shown >= text.length;
    clear(box, draw ? draw(text.slice(0, shown)) : text.slice(0, shown), whole ? "" : " …");
    more.textContent = whole ? "Show less" : `Show all ${count(text.length)} characters`;
    more.setAttribute("aria-expanded", String(stage > 0));
  };
  more.addEventListener("click", () => {
    const whole = [folded, MOST_SHOWN, text.length][stage] >= text.length;
    stage = whole ? 0 : stage + 1;
    put();
  });
  put();
  return h("div", {}, box, more);
}

/** Returns arguments in readable JSON where they are JSON, else as they were written. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Returns arguments on one line, cut, for a closed call. */
function gist(text) {
  let line = text;
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value)) {
      line = Object.entries(value).map(([key, each]) => `${key}: ${typeof each === "string" ? each : JSON.stringify(each)}`).join(", ");
    }
  } catch {
    line = text;
  }
  return line.length > 120 ? line.slice(0, 120) + "…" : line;
}

function callBox(call, number, runs, scale, facts, pick) {
  const mine = runs.find((run) => run.call === number);
  const name = h("span", { class: `call-name ${mine && unit === "characters" ? runClass(mine, scale) : ""}` }, data(call.name || "(no name)"));
  const box = h("details", { class: "call", open: false },
    h("summary", {}, name, h("span", { class: "gist data" }, gist(call.arguments))),
    longText(pretty(call.arguments), 4000));
  if (mine) {
    box.addEventListener("mouseenter", () => pick(mine, mine.start));
    box.addEventListener("focusin", () => pick(mine, mine.start));
  }
  return [box, facts.map((fact) => h("p", { class: `fact ${fact.code}` }, factText(fact)))];
}

function factText(fact) {
  const text = fact.text[0].toUpperCase() + fact.text.slice(1);
  if (fact.trajectory === undefined) return data(text);
  return [data(text), " ", h("a", { href: toTrajectory(fact.trajectory, { step: fact.step }), "aria-label": `go to it: step ${fact.step} of ${T.id[fact.trajectory]}` }, "look")];
}

/** Returns a line for each number that somebody gave a model step: belief, scores, reward. */
function measuredFacts(step, i, record) {
  const known = (value) => value !== undefined && value !== null;
  const scores = Object.entries(step.scores || {}).filter(([name, value]) => known(value) && name !== "answer" && name !== "srl" && name !== "srl_step");
  const said = scores.map(([name, value]) => [data(name), ` ${num(value)}`]);
  if (known(step.belief)) {
    const before = record.steps.slice(0, i).filter((each) => each.kind === "model" && known(each.belief)).pop();
    const from = before ? before.belief : record.prior;
    said.unshift(`belief in the right answer ${num(Math.exp(step.belief))}${known(from) ? `, ${nats(step.belief - from)} nats by this step` : ""}`);
  }
  const { srl, srl_step: place } = step.scores || {};
  if (known(srl)) said.unshift(srl < 0 ? "in a wrong format, so like no step of the expert's" : known(place) ? `like step ${count(place + 1)} of the expert's: ${num(srl)}` : "stands for no step of the expert's");
  if (known(step.reward)) said.push(`reward ${num(step.reward)}`);
  return said.length > 0 && h("p", { class: "fact measured" }, said.map((each, n) => [n > 0 && " · ", each]));
}

/** Returns the card of a model step. `about` is its shape, `value` its mean advantage. */
function modelCard(step, i, view) {
  const { shape, about, runs, value, reason, scale, pick } = view;
  const wronged = value < 0 && about.correct.length > 0;
  const others = about.evidence.filter((fact) => fact.call === undefined);
  const shift = shiftOf(step);
  const draw = unit === "characters" ? (text) => tintedText(text, runs, scale, pick) : null;
  return h("article", { class: `card model ${shade(value, scale)}${NOT_TRAINED.includes(step.untrainable) ? " masked" : ""}`, id: `step-${i}`, tabindex: "-1", "aria-label": `step ${i}, model, advantage ${signed(value)}` },
    h("header", {}, h("span", { class: "number" }, String(i)), h("b", {}, step.agent ? data(step.agent) : "Model"),
      step.untrainable && badge(words(step.untrainable), "muted", "no gradient may flow here"),
      wronged && badge("punished though correct", "wronged", "a call of this step is right by evidence, and its advantage is below 0"),
      h("span", { class: "values" }, shift && shiftSum(shift), value !== undefined && h("span", { class: `value ${shade(value, scale)}` }, signed(value)))),
    step.text && longText(step.text, 2400, draw),
    (step.calls || []).map((call, c) => callBox(call, c, runs, scale, about.evidence.filter((fact) => fact.call === c), pick)),
    others.map((fact) => h("p", { class: `fact ${fact.code}` }, factText(fact))),
    replayedBox(about.replay, shape, shape.steps.indexOf(about)),
    measuredFacts(step, i, view.record),
    hintsBox(step, i, view.record),
    reason && h("p", { class: "reason" }, data(reason)),
    marksOf(shape, i, view.record),
    unit === "tokens" && runs.length > 0 && [shift && h("p", { class: "strip-name" }, "Credit"), tokenStrip(runs, scale, pick, `tokens of step ${i}`)],
    shift && shiftStrip(step, i, shift, runs, pick));
}

const MARK_WORDS = {
  compaction: "The history was compacted here: from here on the agent saw a summary",
  branch_summary: "Summary of a branch that was left: all that the agent knew of it from here on",
  prefix_break: "The history was rewritten before this step",
};

function marksOf(shape, i, record) {
  return (record.marks || []).filter((mark) => (mark.step === undefined ? -1 : mark.step) === i).map((mark) =>
    h("p", { class: `fact ${MARK_WORDS[mark.kind] ? "told" : "mark"}` }, MARK_WORDS[mark.kind] || h("b", {}, data(words(mark.kind))), mark.text && [": ", data(mark.text)],
      mark.source && mark.source !== "importer" && h("small", {}, " ", data(mark.source))));
}

function toolCard(step, i, view) {
  const failed = step.error === true || view.errors.has(i);
  return h("article", { class: `card tool${failed ? " failed" : ""}`, id: `step-${i}`, tabindex: "-1", "aria-label": `step ${i}, observation${failed ? ", an error" : ""}` },
    h("header", {}, h("span", { class: "number" }, String(i)), h("b", {}, "Observation"), step.name && data(step.name), failed && badge("error", "error"),
      !step.call && badge("answers no call", "muted")),
    observed(step.text, FOLDED, quotesAt(view.record, i)), marksOf(view.shape, i, view.record));
}

function saidCard(step, i, view) {
  const system = step.kind === "system";
  const folded = system ? 160 : FOLDED;
  return h("article", { class: `card ${step.kind}`, id: `step-${i}`, tabindex: "-1", "aria-label": `step ${i}, ${step.kind}` },
    h("header", {}, h("span", { class: "number" }, String(i)), h("b", {}, system ? "System" : "User"), step.name && data(step.name)),
    observed(step.text, folded, quotesAt(view.record, i)), marksOf(view.shape, i, view.record));
}

function stepCard(step, i, view) {
  if (step.kind === "model") return modelCard(step, i, view);
  return step.kind === "tool" ? toolCard(step, i, view) : saidCard(step, i, view);
}
