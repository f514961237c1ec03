// The trees of a group, drawn: a mark for each step, in the colour of its credit, a row for each leaf.

const WIDE = { width: 66, height: 24, gap: 24, row: 46, leaf: 116, top: 11 };
const NARROW = { ...WIDE, width: 54, gap: 16, leaf: 92 };
let STEP = WIDE;
const CELL = 8;
const MOST_CELLS = 14;
const MOST_UNFOLDED = 400;

/** Returns a number that fits a mark. */
const brief = (x) => (x !== 0 && x !== null && (Math.abs(x) < 0.001 || Math.abs(x) >= 1e5) ? `${x > 0 ? "+" : "−"}${Math.abs(x).toExponential(0)}` : signed(x));

/** Returns the credit of steps by a method, as the report has it: of member i and its step s. */
function creditBy(members, method) {
  const known = new Map();
  return ([i, s]) => {
    if (!known.has(i)) known.set(i, unpack(members[i].methods[method.name].step, members[i].steps.length));
    return known.get(i)[s];
  };
}

/** Returns what the rows of a step were credited with: their mean, and the least and most of them; null where none was. */
function creditOf(node, credit) {
  const values = node.rows.map(credit).filter((value) => value !== null && value !== undefined);
  if (!values.length) return { value: null, low: null, high: null, rows: 0 };
  const [low, high] = values.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [Infinity, -Infinity]);
  const mean = low === high ? low : values.reduce((sum, x) => sum + x, 0) / values.length;
  const nothing = Math.abs(mean) < 1e-5 * Math.max(-low, high); // the report has six digits of each
  return { value: nothing ? 0 : mean, low, high, rows: values.length };
}

/** Returns "2 of 3 passed", of the leaves below a node. */
function passesBelow(node) {
  const unscored = node.leaves - node.scored;
  const rest = unscored ? `${plural(unscored, "leaf", "leaves")} unscored` : "";
  return node.scored ? `${count(node.passed)} of ${count(node.scored)} passed${rest && `, ${rest}`}` : rest;
}

const stepAt = (view, [i, s]) => view.members[i].steps[s];
const hasError = (step) => step.evidence.some((fact) => fact.code === "error" || fact.code === "malformed");
const addressOf = (view, [i, s]) => toTrajectory(view.members[i].index, { step: stepAt(view, [i, s]).index });
const what = (step) => step.calls.join(", ") || "text";

/**
 * Returns the marks to draw: `{ kind, x, y, width, node, from }` with kind one of root, step, chain,
 * closed, more and leaf; y counts rows. A first child stands in its parent's row, the others below.
 */
function layOut(forest, opened) {
  STEP = innerWidth < 640 ? NARROW : WIDE;
  const marks = [];
  let row = -1;
  const stack = [...forest].reverse().map((node) => ({ node, from: null, fresh: true }));
  while (stack.length) {
    const { node, from, fresh, kind, left } = stack.pop();
    if (fresh) row += 1;
    const x = from ? from.x + from.width + STEP.gap : 0;
    const chain = kind || !node.parent ? [node] : opened.chainFrom(node);
    const mark = { kind: kind || (!node.parent ? "root" : chain.length > 1 ? "chain" : "step"), x, y: row, node, from, chain, left, width: STEP.width };
    if (mark.kind === "chain") mark.width = CELL * Math.min(chain.length, MOST_CELLS) + 44;
    if (mark.kind === "leaf" || mark.kind === "closed" || mark.kind === "more") mark.width = STEP.leaf;
    if (from) (from.next = from.next || []).push(mark);
    marks.push(mark);
    if (kind) continue;
    const after = childrenOf(chain[chain.length - 1], mark, opened);
    for (const [n, each] of [...after.entries()].reverse()) stack.push({ ...each, from: mark, fresh: n > 0 });
  }
  return { marks, rows: row + 1, width: marks.reduce((most, mark) => Math.max(most, mark.x + mark.width), 0) };
}

/** Returns what stands after a mark: leaves that end there, steps that follow, or what stands for them. */
function childrenOf(node, mark, opened) {
  mark.tip = node;
  if (!opened.isOpen(node)) return [{ node, kind: "closed" }];
  const all = [...node.ends.map((i) => ({ node, kind: "leaf", left: i })), ...node.children.map((child) => ({ node: child }))];
  const most = opened.most(node);
  return all.length > most ? [...all.slice(0, most), { node, kind: "more", left: all.length - most }] : all;
}

const middle = (mark) => mark.y * STEP.row + STEP.height / 2 + STEP.top;

/** Returns the line from one mark to the next: along, and down where the tree parts. */
function edge(mark) {
  const from = mark.from;
  const x = from.x + from.width;
  const turn = x + STEP.gap / 2;
  const [a, b] = [middle(from), middle(mark)];
  return svg("path", { class: "edge", d: a === b ? `M${x} ${a}H${mark.x}` : `M${x} ${a}H${turn}V${b}H${mark.x}` });
}

/** Draws the step of a mark, coloured by each method of the view: one, or two one over the other. */
function stepMark(mark, view) {
  const { node } = mark;
  const step = stepAt(view, node.rows[0]);
  const credits = view.credits.map((credit) => creditOf(node, credit));
  const half = STEP.height / credits.length;
  const differs = credits.length > 1 && credits[0].value * credits[1].value < 0;
  const label = `step ${step.index}, ${what(step)}, ${credits.map(({ value }, i) => `${view.methods[i].name} ${value === null ? "no credit" : signed(value)}`).join(", ")}, ${passesBelow(node)}${hasError(step) ? ", answered by an error" : ""}${differs ? ", the signs differ" : ""}${step.replay ? `, replayed: ${truthText(step.replay)}` : ""}`;
  return svg("a", { href: addressOf(view, node.rows[0]), class: `mark step${differs ? " differs" : ""}${view.chosen === node ? " chosen" : ""}`, "aria-label": label },
    credits.map(({ value }, i) => [
      svg("rect", { class: `fill ${shade(value, view.methods[i].scale)}`, x: 0, y: i * half, width: mark.width, height: half, rx: credits.length > 1 ? 2 : 5 }),
      svg("text", { class: `credit ${shade(value, view.methods[i].scale)}${credits.length > 1 ? " small" : ""}`, x: mark.width / 2, y: (i + 0.5) * half }, value === null ? "–" : brief(value))]),
    svg("rect", { class: "frame", x: 0, y: 0, width: mark.width, height: STEP.height, rx: 5 }),
    svg("text", { class: "below", x: mark.width / 2, y: STEP.height + 11 }, node.leaves > 1 && node.scored ? `${count(node.passed)} / ${count(node.scored)}` : ""),
    step.replay && svg("text", { class: `verdict ${step.replay.verdict}`, x: 2, y: -4 }, VERDICT_SIGNS[step.replay.verdict]),
    hasError(step) && svg("text", { class: "wrong", x: mark.width - 2, y: -4 }, "✕"));
}

/** Draws a folded chain: a cell a step, of a long one the first and the last, and how many they are. */
function chainMark(mark, view) {
  const { chain } = mark;
  const shown = chain.length <= MOST_CELLS ? chain : [...chain.slice(0, MOST_CELLS / 2), ...chain.slice(-MOST_CELLS / 2)];
  const errors = chain.filter((node) => hasError(stepAt(view, node.rows[0]))).length;
  const half = STEP.height / view.credits.length;
  return svg("g", { class: "mark chain", role: "button", tabindex: "0", "aria-label": `${plural(chain.length, "step")} in a row, folded${errors ? `, ${plural(errors, "error")}` : ""}, ${passesBelow(chain[0])}: unfold` },
    shown.map((node, n) => view.credits.map((credit, i) =>
      svg("rect", { class: `fill ${shade(creditOf(node, credit).value, view.methods[i].scale)}`, x: n * CELL, y: i * half, width: CELL - 1, height: half }))),
    svg("rect", { class: "frame", x: -1, y: 0, width: mark.width - 1, height: STEP.height, rx: 5 }),
    svg("text", { class: "label", x: shown.length * CELL + 4, y: STEP.height / 2 }, `${count(chain.length)} ›`),
    errors > 0 && svg("text", { class: "wrong", x: mark.width - 4, y: -4 }, errors > 1 ? `✕ ${count(errors)}` : "✕"));
}

function leafMark(mark, view) {
  const member = view.members[mark.left];
  const k = member.index;
  const cut = member.end === "budget" || member.end === "infra";
  const score = T.outcome[k] === null ? "" : ` ${num(T.outcome[k])}`;
  return svg("a", { href: toTrajectory(k), class: "mark leaf", "aria-label": `${member.id}, ${outcomeWord(k)}${score}${cut ? `, ${END_WORDS[member.end]}` : ""}` },
    svg("rect", { class: "frame quiet", x: 0, y: 0, width: mark.width, height: STEP.height, rx: 5 }),
    svg("rect", { class: `outcome ${outcomeClass(k)}`, x: 6.5, y: STEP.height / 2 - 5.5, width: 11, height: 11, rx: 2.5 }),
    outcomeClass(k) === "partial" && svg("rect", { class: "half", x: 7, y: STEP.height / 2, width: 10, height: 5 }),
    svg("text", { class: "label", x: 23, y: STEP.height / 2 }, `${outcomeWord(k)}${score}`),
    cut && svg("text", { class: "cut", x: 6, y: STEP.height + 11 }, member.end === "budget" ? "cut off" : "stopped"));
}

/** Draws what stands for steps that are not drawn. */
function buttonMark(mark, label, told) {
  return svg("g", { class: "mark fold", role: "button", tabindex: "0", "aria-label": told },
    svg("rect", { class: "frame", x: 0, y: 0, width: mark.width, height: STEP.height, rx: 12 }),
    svg("text", { class: "label", x: 10, y: STEP.height / 2 }, label));
}

function drawMark(mark, view) {
  const { node } = mark;
  if (mark.kind === "step") return stepMark(mark, view);
  if (mark.kind === "chain") return chainMark(mark, view);
  if (mark.kind === "leaf") return leafMark(mark, view);
  if (mark.kind === "more") return buttonMark(mark, `+ ${count(mark.left)} more`, `${count(mark.left)} more branches here: show ${count(Math.min(mark.left, 5 * CHILDREN_AT_ONCE))}`);
  if (mark.kind === "closed") return buttonMark(mark, `+ ${plural(node.leaves, "leaf", "leaves")}`, `${plural(node.leaves, "leaf", "leaves")} below, ${passesBelow(node)}: open`);
  return svg("g", { class: "mark root" }, svg("rect", { class: "frame quiet", x: 0, y: 0, width: mark.width, height: STEP.height, rx: 12 }),
    svg("text", { class: "label middle", x: mark.width / 2, y: STEP.height / 2 }, "prompt"),
    svg("text", { class: "below", x: mark.width / 2, y: STEP.height + 11 }, node.scored ? `${count(node.passed)} / ${count(node.scored)}` : ""));
}

/** Returns the knob at an open branch point that closes it again. */
function knob(mark) {
  const node = mark.tip;
  if (!node || !branches(node) || !mark.next || mark.next[0].kind === "closed") return null;
  const [x, y] = [mark.x + mark.width + STEP.gap / 2, middle(mark)];
  return svg("g", { class: "mark knob", role: "button", tabindex: "0", transform: `translate(${x} ${y})`, "aria-label": `close ${plural(node.leaves, "leaf", "leaves")}` },
    svg("circle", { class: "reach", r: 11 }), svg("circle", { r: 6 }), svg("path", { d: "M-3 0H3" }));
}
