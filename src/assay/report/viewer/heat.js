// The heat-map: every token (or stretch of text) in the colour of its advantage.

const TOKENS_AT_ONCE = 8000;
const FEW_TOKENS = 48; // are drawn larger
const ROLE_NAMES = ["text", "thought", "call", "answer", "confidence"];
const THOUGHT = ROLE_NAMES.indexOf("thought");

/** Returns the runs of each step of the record, prompts included: runs[i] belongs to steps[i]. */
function runsBySteps(record, runs) {
  const found = record.steps.map(() => []);
  if (unit === "tokens") {
    let next = 0;
    record.steps.forEach((step, i) => {
      let left = (step.token_ids || []).length;
      while (left > 0 && next < runs.length) {
        found[i].push(runs[next]);
        left -= runs[next++].length;
      }
    });
    return found;
  }
  const model = record.steps.flatMap((step, i) => (step.kind === "model" ? [i] : []));
  for (const run of runs) found[model[run.step]].push(run);
  return found;
}

/** Returns a run's class: its colour, whether it is masked or not the policy's, whether it was punished though correct. */
function runClass(run, scale) {
  if (run.fate < 0 || ["masked", "drifted"].includes(report.fates[run.fate])) return "run masked";
  return `run ${shade(run.value, scale)}${run.role === THOUGHT ? " thought" : ""}`;
}

/** Merges neighbours that look and are the same, so that there are as few elements as possible. */
function merged(runs) {
  const list = [];
  for (const run of runs) {
    const last = list[list.length - 1];
    const same = last && last.value === run.value && last.step === run.step && last.call === run.call && last.role === run.role && last.fate === run.fate;
    if (same) list[list.length - 1] = { ...last, length: last.length + run.length };
    else list.push(run);
  }
  return list;
}

/**
 * Returns the strip of one step's tokens, a character cell each. `pick(run, token)` is told what is
 * pointed at. One stop of the tab key; arrow keys walk the runs.
 */
function tokenStrip(runs, scale, pick, label) {
  const list = merged(runs);
  const total = list.reduce((sum, run) => sum + run.length, 0);
  const strip = h("div", { class: total > FEW_TOKENS ? "strip" : "strip few", role: "group", "aria-label": `${label}: ${plural(total, "token")}, ${plural(list.length, "run")}` });
  if (total > TOKENS_AT_ONCE) return longStrip(strip, list, total, scale, pick);
  strip.append(...list.map((run) => runSpan(run, scale, 0, run.length)));
  wireStrip(strip, pick);
  return strip;
}

const GLYPH = "\u00b7";
const spanRuns = new WeakMap();

function runSpan(run, scale, from, until) {
  const span = document.createElement("span");
  span.className = runClass(run, scale);
  span.textContent = GLYPH.repeat(until - from);
  span.tabIndex = -1;
  spanRuns.set(span, { run, from });
  return span;
}

function wireStrip(strip, pick) {
  const first = strip.querySelector(".run");
  if (first) first.tabIndex = 0;
  const told = (event) => {
    const span = event.target.closest(".run");
    if (!span || !spanRuns.has(span)) return;
    const { run, from } = spanRuns.get(span);
    span.setAttribute("aria-label", run.said || `${describeRun(run)}, advantage ${signed(run.value)}`);
    pick(run, run.start + from + tokenUnder(event, span));
  };
  strip.addEventListener("mousemove", told);
  strip.addEventListener("focusin", told);
  strip.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const span = event.target.closest(".run");
    if (!by || !span) return;
    event.preventDefault();
    const spans = [...strip.querySelectorAll(".run")];
    const next = spans[spans.indexOf(span) + by];
    if (!next) return;
    span.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

/** Returns which token of a span the pointer is over; 0 for the keyboard. */
function tokenUnder(event, span) {
  if (event.type !== "mousemove" || !document.caretPositionFromPoint) return 0;
  const found = document.caretPositionFromPoint(event.clientX, event.clientY);
  return found && span.contains(found.offsetNode) ? Math.min(found.offset, span.textContent.length - 1) : 0;
}

const describeRun = (run) =>
  run.step < 0 ? `prompt, ${plural(run.length, unit.slice(0, -1))}`
    : `${ROLE_NAMES[run.role]}, ${plural(run.length, unit.slice(0, -1))}`;

/** Draws a long strip line by line, and only the lines in sight. It must be in the page to be measured. */
function longStrip(strip, list, total, scale, pick) {
  strip.classList.add("long");
  const ends = [];
  let sum = 0;
  for (const run of list) ends.push((sum += run.length));
  requestAnimationFrame(() => {
    const wide = Math.max(20, Math.floor((strip.clientWidth - 1) / glyphWidth(strip)));
    const line = (i) => stripLine(list, ends, i * wide, Math.min(total, (i + 1) * wide), scale);
    virtualRows(strip, Math.ceil(total / wide), 18, line, 3).update();
    wireStrip(strip, pick);
    performance.mark("assay:heat");
  });
  return strip;
}

function glyphWidth(strip) {
  const probe = h("span", {}, GLYPH.repeat(100));
  strip.appendChild(probe);
  const width = probe.getBoundingClientRect().width / 100;
  probe.remove();
  return width;
}

function stripLine(list, ends, from, until, scale) {
  const row = h("div", { class: "strip-line" });
  let r = firstAfter(ends, from);
  while (from < until) {
    const begins = ends[r] - list[r].length;
    const stop = Math.min(until, ends[r]);
    row.appendChild(runSpan(list[r], scale, from - begins, stop - begins));
    from = stop;
    r++;
  }
  return row;
}

/** Returns the first index whose end lies after `at`, by bisection. */
function firstAfter(ends, at) {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Returns the text of a model step with its runs tinted; characters are what the runs count. */
function tintedText(text, runs, scale, pick) {
  const inText = runs.filter((run) => run.call < 0);
  if (inText.length <= 1) {
    const span = h("span", { class: inText[0] ? runClass(inText[0], scale) : null }, text);
    if (inText[0]) spanRuns.set(span, { run: inText[0], from: 0 });
    return tinted([span], pick);
  }
  const points = /[\ud800-\udfff]/.test(text) ? Array.from(text) : null;
  const slice = (a, b) => (points ? points.slice(a, b).join("") : text.slice(a, b));
  let at = 0;
  return tinted(inText.flatMap((run) => {
    const piece = slice(at, (at += run.length));
    if (!piece) return []; // behind the fold
    const span = h("span", { class: runClass(run, scale), tabindex: "-1" }, piece);
    spanRuns.set(span, { run, from: 0 });
    return [span];
  }), pick);
}

function tinted(spans, pick) {
  const box = h("span", { class: "tinted" }, spans);
  if (spans.length > 1) wireStrip(box, pick);
  else box.addEventListener("mousemove", (event) => {
    const held = spanRuns.get(event.target);
    if (held) pick(held.run, held.run.start);
  });
  return box;
}

/** Returns the whole trajectory as one bar; each model step is a link to its card. */
function overview(shape, runsOfStep, values, scale, chosen, what = "advantage") {
  const wrote = shape.steps.map((step) => runsOfStep[step.index].reduce((sum, run) => sum + run.length, 0));
  const total = Math.max(1, wrote.reduce((sum, n) => sum + n, 0));
  return h("nav", { class: "overview", "aria-label": "Steps, as wide as they are long" }, shape.steps.map((step, s) =>
    h("a", { class: `cell ${shade(values[s], scale)}${step.index === chosen ? " chosen" : ""}`, href: toTrajectory(shape.index, { step: step.index }),
      style: { "flex-grow": String(Math.max(0.004, wrote[s] / total)) }, "data-step": step.index,
      "aria-label": `step ${step.index}, ${what} ${signed(values[s])}`, title: `step ${step.index}: ${signed(values[s])}` })));
}
