// Two attempts side by side, aligned where they do the same, marked where they part.

/** Cuts steps into turns: each step before the model first spoke, then each model step with what followed. */
function turnsOf(record, shape) {
  const ordinal = new Map(shape.steps.map((step, s) => [step.index, s]));
  const turns = [];
  let spoke = false;
  record.steps.forEach((step, i) => {
    const model = step.kind === "model";
    spoke = spoke || model;
    if (model || !spoke) turns.push({ steps: [], key: null, text: step.text || "", kind: step.kind, all: "" });
    const turn = turns[turns.length - 1];
    turn.steps.push(i);
    turn.all += `\u0000${step.kind}\u0000${step.text || ""}`;
    if (model) turn.key = shape.steps[ordinal.get(i)].key;
  });
  return turns;
}

/** Do two turns begin with the same step: same speaker, same words, same calls? */
const sameTurn = (a, b) => a.kind === b.kind && a.key === b.key && a.text === b.text;

/** Weight of two turns standing side by side. */
function alike(a, b) {
  if (a.key === null || b.key === null) return a.kind === b.kind ? 1 : 0;
  return sameStep(a, b);
}

/**
 * Returns rows of [left turn | null, right turn | null], the row where they part (first different
 * words or calls) and the row of the first different call; -1 where there is none.
 */
function pairsOfTurns(left, right) {
  const pairs = Math.max(left.length, right.length) > MOST_STEPS ? [] : alignment(left.length, right.length, (i, j) => alike(left[i], right[j]));
  const rows = [];
  let i = 0;
  let j = 0;
  for (const [x, y] of [...pairs, [left.length, right.length]]) {
    while (i < x || j < y) rows.push([i < x ? left[i++] : null, j < y ? right[j++] : null]);
    if (x < left.length) rows.push([left[i++], right[j++]]);
  }
  const parted = rows.findIndex(([l, r]) => !l || !r || !sameTurn(l, r));
  const calls = rows.findIndex(([l, r]) => ((l && l.key) || "") !== ((r && r.key) || ""));
  return { rows, parted, calls };
}

async function comparePage(root, k, other) {
  const method = currentMethod();
  const [shapes, records] = await Promise.all([Promise.all([shapeOf(k), shapeOf(other)]), Promise.all([recordOf(k), recordOf(other)])]);
  const views = shapes.map((shape, i) => trajectoryView(shape, records[i], method));
  const { rows, parted, calls } = pairsOfTurns(turnsOf(records[0], shapes[0]), turnsOf(records[1], shapes[1]));
  const grid = h("div", { class: "compare" },
    [k, other].map((each, side) => h("div", { class: `side-head side-${side}` }, square(each),
      h("a", { href: toTrajectory(each) }, data(T.id[each] || "(no name)")), h("small", {}, outcomeWord(each)))));
  rows.forEach(([left, right], n) => {
    if (n === parted) grid.appendChild(divider("diverges", "Here they part", "the first step whose words or calls differ"));
    if (n === calls && n !== parted) grid.appendChild(divider("calls", "First different call", ""));
    if (left && right && left.all === right.all && (left.key === null || n < parted)) grid.appendChild(pane(left, right, 0, views[0], "pane both"));
    else add(grid, [pane(left, right, 0, views[0]), pane(right, left, 1, views[1])]);
  });
  if (parted < 0) grid.appendChild(divider("same", "They never differ", "both wrote the same"));
  add(root, [
    crumbs([["Groups", to("groups")], [G.id[T.group[k]] || "(no name)", toGroup(T.group[k])], [T.id[k] || "(no name)", toTrajectory(k)]]),
    h("h1", {}, "Side by side"), h("p", { class: "lede" }, compareSentence(k, other, rows, parted, calls)),
    h("div", { class: "bar-of-tools" }, partners(k, other), legend()), grid]);
  const panes = () => [...root.querySelectorAll(".pane .card")];
  return { move: (by) => moveFocus(panes(), by), up: toTrajectory(k), placed: () => {
    const mark = root.querySelector(".divider.calls") || root.querySelector(".divider.diverges");
    if (mark && mark.getBoundingClientRect().top > innerHeight - 160) mark.scrollIntoView({ block: "center" });
  } };
}

/** Returns the step that a row begins with, on the left if it has one. */
const stepOfRow = ([left, right]) => (left || right).steps[0];

function compareSentence(k, other, rows, parted, calls) {
  if (T.group[k] !== T.group[other]) return "These two are attempts at different groups, so the alignment may mean little.";
  if (parted < 0) return `Both wrote the same in all ${plural(rows.length, "turn")}.`;
  const first = `They part at step ${stepOfRow(rows[parted])}`;
  if (calls < 0) return `${first}, and still make the same calls throughout.`;
  return calls === parted ? `${first}, with different calls.` : `${first}; their calls first differ at step ${stepOfRow(rows[calls])}.`;
}

function partners(k, other) {
  const link = (each) => h("a", { href: toTrajectory(k, { with: each }), "aria-current": each === other ? "true" : null, "aria-label": `compare with ${T.id[each]}, ${outcomeWord(each)}`, title: T.id[each] }, square(each));
  const rest = G.members[T.group[k]].filter((each) => each !== k).slice(0, 40);
  return h("nav", { class: "siblings", "aria-label": "Compare with another attempt" }, h("span", {}, "Compare with "), rest.map(link));
}

const divider = (kind, title, why) => h("div", { class: `divider ${kind}`, role: "separator", "aria-label": title }, h("b", {}, title), why && h("small", {}, why));

/** Returns one side of a row; with `both`, the one card that stands for two equal turns. */
function pane(turn, across, side, view, kind) {
  if (turn === null) return h("div", { class: `pane side-${side} missing` }, h("p", { class: "faint" }, "nothing here"));
  const differs = !kind && (across === null || turn.key !== across.key);
  const box = h("div", { class: kind || `pane side-${side}${differs ? " differs" : ""}`, "data-name": kind ? null : view.shape.id });
  for (const i of turn.steps) box.appendChild(stepCard(view.record.steps[i], i, cardView(view, i, () => {})));
  for (const card of box.querySelectorAll(".card")) card.id = `side-${side}-${card.id}`;
  const name = box.querySelector(".card header");
  if (kind) name.appendChild(badge("the same in both", "muted"));
  else if (differs && across && turn.key && across.key) name.insertBefore(badge("other call", "other"), name.querySelector(".values"));
  return box;
}
