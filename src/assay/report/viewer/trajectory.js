// One trajectory: its steps in order, and at their side the terms behind the value pointed at.

const MOST_CARDS = 60;

pages.trajectory = async (root, { index: k, params }) => {
  if (k === null || k >= T.id.length) return notThere(root, "trajectory");
  const beside = params.get("with");
  if (beside !== null && /^\d{1,9}$/.test(beside) && Number(beside) < T.id.length && Number(beside) !== k) {
    return comparePage(root, k, Number(beside));
  }
  const [shape, record] = await Promise.all([shapeOf(k), recordOf(k)]);
  const method = currentMethod();
  const view = trajectoryView(shape, record, method);
  const inspector = makeInspector(shape, record, method);
  const chosen = params.get("step") === null ? null : Number(params.get("step"));
  add(root, [
    crumbs([["Groups", to("groups")], [G.id[T.group[k]] || "(no name)", toGroup(T.group[k])]]),
    trajectoryHead(k, shape, record),
    shape.steps.length > 1 && shape.runs.count > 0 && [overview(shape, view.runsOfStep, view.values, method.scale, chosen), shiftOverview(record, view, chosen)],
    shape.runs.count > 0 ? h("div", { class: "with-aside" }, cards(record, view, inspector.pick, chosen), inspector.box)
      : cards(record, view, inspector.pick, chosen),
  ]);
  return trajectoryKeys(root, k, shape, view, inspector, chosen);
};

/** Returns everything about a trajectory under a method that its cards need. */
function trajectoryView(shape, record, method) {
  const runs = runsOf(shape, method);
  const given = shape.methods[method.name];
  const errors = new Set();
  record.steps.forEach((step, i) => {
    if (step.kind !== "tool" || !step.call) return;
    const about = shape.steps.find((each) => each.index === step.call[0]);
    if (about && about.evidence.some((fact) => fact.code === "error" && fact.call === step.call[1])) errors.add(i);
  });
  return { shape, record, method, errors, runsOfStep: runsBySteps(record, runs),
    values: unpack(given.step, shape.steps.length), why: unpack(given.why, shape.steps.length),
    ordinal: new Map(shape.steps.map((step, s) => [step.index, s])) };
}

/** Returns what the card of step i needs. */
function cardView(view, i, pick) {
  const s = view.ordinal.get(i);
  const common = { shape: view.shape, record: view.record, errors: view.errors, pick, scale: view.method.scale };
  if (s === undefined) return common;
  return { ...common, about: view.shape.steps[s], runs: view.runsOfStep[i], value: view.values[s], reason: reasonText(view.shape, view.why[s]) };
}

function trajectoryHead(k, shape, record) {
  const decision = shape.decision;
  const g = T.group[k];
  const rest = G.members[g].filter((other) => other !== k);
  const passed = rest.find((other) => T.outcome[k] !== null && T.outcome[other] !== null && T.passed[other] !== T.passed[k]);
  const copyLink = h("button", { type: "button", on: { click: () => copy(location.href, "permalink", copyLink) } }, "Copy permalink");
  const copyJson = h("button", { type: "button", on: { click: () => copy(JSON.stringify({ ...record, assay: shape }, null, 2), "JSON", copyJson) } }, "Copy JSON");
  return h("div", { class: "trajectory-head" },
    h("h1", {}, "Attempt ", data(T.id[k] || "(no name)")),
    h("p", { class: "lede" }, square(k), ` ${outcomeWord(k)}`, T.outcome[k] === null ? "" : ` (${num(T.outcome[k])})`,
      CATEGORY_WORDS[shape.category] && [" · ", h("span", { title: CATEGORY_WORDS[shape.category] }, words(shape.category))],
      " · ", CLAIM_WORDS[shape.claim], " · ", END_WORDS[shape.end],
      decision.verdict === "drop" && !SAID_ALREADY.includes(decision.reason) && [" · left out by ", data(decision.gate), " (", data(words(decision.reason)), ")"],
      decision.verdict === "weight" && ` · weighted ${num(decision.weight)}`),
    rest.length > 0 && h("nav", { class: "siblings", "aria-label": "Attempts of this group" }, G.members[g].slice(0, 40).map((other) =>
      h("a", { href: toTrajectory(other), "aria-current": other === k ? "page" : null, "aria-label": `${T.id[other]}, ${outcomeWord(other)}`, title: T.id[other] }, square(other)))),
    h("div", { class: "actions" },
      passed !== undefined && h("a", { class: "button", id: "compare", href: toTrajectory(k, { with: passed }) }, T.passed[k] ? "Compare with a failed sibling" : "Compare with a successful sibling"),
      inTree(k, shape) && h("a", { class: "button", href: inTree(k, shape) }, "See it in its tree"),
      copyLink, copyJson),
    rescueBox(rescueAt.get(k), record, madeFrom(k)), marksOf(shape, -1, record), aboutRecord(record));
}

/** Returns the address of a step of ours in the tree of its group: the chosen one, or the last that has a place. */
function inTree(k, shape) {
  const placed = shape.steps.filter((step) => step.node !== undefined);
  if (!placed.length) return null;
  const asked = Number(route.params.get("step"));
  const step = placed.find((each) => each.index === asked) || placed[placed.length - 1];
  return to(`tree/${T.group[k]}`, { of: k, step: step.index });
}

function aboutRecord(record) {
  const rows = [["Task", record.task], ["Trial", record.trial], ["Policy version", record.policy_version], ["Reference answer", record.reference]];
  for (const [name, value] of Object.entries(record.rewards || {})) rows.push([`Reward ${name}`, num(value)]);
  for (const grade of record.grades || []) rows.push([`Grade ${grade.level}`, `${num(grade.value ?? null)} ${grade.source || ""} ${grade.reason || ""}`]);
  for (const expert of record.expert || []) rows.push(["Expert action", `${expert.name} ${gist(expert.arguments)}`]);
  for (const [name, value] of Object.entries(record.ledger || {})) rows.push([`Cost: ${words(name)}`, num(value)]);
  const origin = record.origin;
  if (origin) rows.push(["Read from", `${origin.path || ""} (${origin.format}), record ${origin.index ?? "?"}`]);
  for (const [name, value] of Object.entries((origin && origin.extra) || {})) rows.push([words(name), value]);
  const known = rows.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("details", { class: "about" }, h("summary", {}, "About this attempt"),
    h("dl", {}, known.map(([name, value]) => [h("dt", {}, data(name)), h("dd", {}, data(String(value)))])));
}

/** Returns the cards; of a very long trajectory those around the chosen step, the rest on demand. */
function cards(record, view, pick, chosen) {
  const list = h("div", { class: "cards" });
  const n = record.steps.length;
  if (n === 0) return clear(list, h("p", { class: "plain" }, "This attempt has no step."));
  const draw = (i) => stepCard(record.steps[i], i, cardView(view, i, pick));
  const from = chosen === null ? 0 : Math.max(0, Math.min(n - 1, chosen) - 10);
  const put = (a, b) => record.steps.slice(a, b).map((_, i) => draw(a + i));
  let until = Math.min(n, from + MOST_CARDS);
  const rest = h("button", { type: "button", class: "more", id: "rest", on: { click: () => {
    const next = Math.min(n, until + MOST_CARDS * 5);
    for (const card of put(until, next)) list.insertBefore(card, rest);
    until = next;
    label();
  } } });
  const label = () => (until < n ? (rest.textContent = `Show ${plural(n - until, "more step")}`) : rest.remove());
  const before = h("button", { type: "button", class: "more", on: { click: () => before.replaceWith(...put(0, from)) } }, `Show the ${plural(from, "step")} before`);
  add(list, [from > 0 && before, ...put(from, until), rest]);
  label();
  return list;
}

/** The box that says which terms made the value pointed at, one by one; folded where it is narrow. */
function makeInspector(shape, record, method) {
  const body = h("div", { class: "inspected" }, h("p", { class: "note" }, "Point at a step or a stretch of it, or move to it with the keyboard."));
  const now = h("span", {});
  const box = h("aside", { class: "inspector", "aria-label": "Why this value" },
    h("details", { open: !matchMedia("(max-width: 900px)").matches }, h("summary", {}, h("h2", {}, "Why this value"), now), body));
  let last = "";
  const pick = (run, token) => {
    const key = `${run.run}:${run.start}:${token}`;
    if (key === last) return;
    last = key;
    clear(body, inspected(shape, record, method, run, token));
    clear(now, run.step < 0 ? "not trained" : `${signed(run.value)}, step ${shape.steps[run.step].index}`);
  };
  return { box, pick };
}

function inspected(shape, record, method, run, token) {
  const step = run.step >= 0 ? shape.steps[run.step] : null;
  const why = step && reasonText(shape, unpack(shape.methods[method.name].why, shape.steps.length)[run.step]);
  const rows = step && run.value !== null ? termsOf(shape, method, run).map((term) => [
    h("span", {}, data(words(term.name)), h("small", {}, howScaled(term))),
    h("span", {}, num(term.value), h("small", {}, comparedWith(term))), signed(term.part)]) : [];
  return [
    h("p", {}, h("b", { class: `value ${shade(run.value, method.scale)}` }, step ? signed(run.value) : "not trained"),
      step ? ` step ${step.index}, ${describeRun(run)}` : ` ${describeRun(run)}: the policy did not write it`),
    step && run.value === null && h("p", {}, "No advantage. ", data(why)),
    step && run.call >= 0 && h("p", {}, "Call ", data(step.calls[run.call] || "")),
    rows.length > 0 && table("Terms", ["Term", "Value", "#Part"], rows, "terms"),
    step && h("p", { class: "note" }, fateOfRun(run)),
    unit === "tokens" && tokenFacts(record, run, token),
  ];
}

/** Says what the log has of one token: its id, log-probability and entropy. */
function tokenFacts(record, run, token) {
  let begin = 0;
  for (const step of record.steps) {
    const n = (step.token_ids || []).length;
    if (token >= begin + n) {
      begin += n;
      continue;
    }
    const i = token - begin;
    let seen = 0; // sampled tokens before this one: values are given for those only
    for (const [a, b] of step.sampled || [[0, n]]) {
      if (i >= a && i < b) {
        const value = (list) => (list ? num(list[seen + i - a]) : "–");
        const taught = step.told || step.neutral ? ` Told the hint ${value(step.told)}${step.neutral ? `, a neutral one ${value(step.neutral)}` : ""}.` : "";
        const helped = step.helped ? ` Sampled with help ${value(step.helped)}.` : "";
        return h("p", { class: "note" }, `Token ${count(i)} of its step: id ${step.token_ids[i]}, log-probability ${value(step.logprobs)}, entropy ${value(step.entropies)}.${taught}${helped}`);
      }
      seen += Math.max(0, Math.min(i, b) - a);
    }
    return h("p", { class: "note" }, `Token ${count(i)} of its step: id ${step.token_ids[i]}, not sampled.`);
  }
  return null;
}

function trajectoryKeys(root, k, shape, view, inspector, chosen) {
  const g = T.group[k];
  const place = G.members[g].indexOf(k);
  const sibling = (by) => (G.members[g][place + by] === undefined ? null : toTrajectory(G.members[g][place + by]));
  const cardsHere = () => [...root.querySelectorAll(".card")];
  const look = (card) => {
    const i = Number(card.id.slice(5));
    const wrote = (view.runsOfStep[i] || []).filter((each) => each.step >= 0);
    const run = wrote.reduce((most, each) => (!most || Math.abs(each.value) > Math.abs(most.value) ? each : most), null);
    if (run) inspector.pick(run, run.start);
    for (const link of root.querySelectorAll(".overview a")) link.classList.toggle("chosen", link.dataset.step === String(i));
  };
  root.addEventListener("focusin", (event) => {
    if (event.target.classList.contains("card")) (look(event.target), setParams({ step: event.target.id.slice(5) }));
  });
  root.addEventListener("mouseover", (event) => {
    const card = event.target.closest(".card.model");
    if (card && !event.target.closest(".run, .call")) look(card);
  });
  return {
    move: (by) => moveFocus(cardsHere(), by), up: toGroup(g), next: sibling(1), previous: sibling(-1), tree: inTree(k, shape),
    compare: () => root.querySelector("#compare")?.click(),
    placed() {
      const card = chosen === null ? null : root.querySelector(`#step-${chosen}`);
      if (!card) return look(root.querySelector(".card.model") || h("i", { id: "step-" }));
      card.focus({ preventScroll: true });
      card.scrollIntoView({ block: "start" });
    },
  };
}
