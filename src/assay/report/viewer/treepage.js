// The page of a group's trees: choose, open, fold, walk.

const treeViews = new Map(); // group -> what is open of its trees, until another group is looked at

pages.tree = async (root, { index: g, params }) => {
  if (g === null || g >= G.id.length) return notThere(root, "group");
  const members = await membersOf(g);
  const crumb = crumbs([["Groups", to("groups")], [G.id[g] || "(no name)", toGroup(g)]]);
  const keys = { up: toGroup(g), next: treeBy(g, 1), previous: treeBy(g, -1) };
  if (!isTree(members)) {
    add(root, [crumb, h("h1", {}, "Tree of ", data(G.id[g] || "(no name)")),
      h("p", { class: "plain" }, "These attempts name no node that they share, so there is no tree to draw. ", h("a", { href: toGroup(g) }, "See their steps"))]);
    return keys;
  }
  const beside = besideMethod();
  const shown = beside ? [currentMethod(), beside] : [currentMethod()];
  const view = { members, methods: shown, credits: shown.map((each) => creditBy(members, each)) };
  const { forest, opened } = treeView(g, members);
  view.chosen = chosenNode(forest, members, params, opened);
  const drawing = h("div", { class: "tree-scroll" });
  const detail = h("p", { class: "lane-detail tree-detail", role: "status" }, "Point at a step, or walk with the arrow keys; Enter opens it.");
  const drawn = drawTree(drawing, detail, forest, opened, view);
  add(root, [crumb, h("h1", {}, "Tree of ", data(G.id[g] || "(no name)")),
    h("p", { class: "lede" }, fateBadge(G.fate[g]), " ", forestSentence(forest)),
    h("div", { class: "bar-of-tools" }, creditsAny && legend(), h("div", { class: "tree-tools" }, creditsAny && besideChoice(), foldButton(forest, opened, drawn))),
    h("p", { class: "note tree-note" }, `In a mark: credit${shown.length > 1 ? `, ${shown[0].name} over ${shown[1].name}` : ` by ${shown[0].name}`}, of a step in several attempts the mean of them. Under it: leaves below it that passed, of those scored. ✕: answered by an error. Cut off: by its budget.${replay ? " ▲, ▼, ○: replayed; a good step, a bad one, not to be told from zero." : ""}`),
    drawing, detail, beside && whatIf(nodeEntries(forest, view), shown)]);
  return { ...keys, move: (by) => moveFocus([...drawing.querySelectorAll("a")], by), placed: () => drawn.placed() };
};

const treeBy = (g, by) => (G.id[g + by] === undefined ? null : to(`tree/${g + by}`));

function treeView(g, members) {
  if (!treeViews.has(g)) {
    treeViews.clear();
    const forest = forestOf(members);
    const opened = new Opened(forest);
    opened.folds = tooWide(forest);
    treeViews.set(g, { forest, opened });
  }
  return treeViews.get(g);
}

const sizeOf = (forest) => forest.reduce((sum, root) => sum + root.size - 1, 0);

/** Would the steps, each drawn by itself, be wider than the window? Always, where they are many. */
function tooWide(forest) {
  const deepest = Math.max(...forest.flatMap(downFrom).map((node) => node.depth));
  return sizeOf(forest) > MOST_UNFOLDED || deepest * (STEP.width + STEP.gap) + 250 > innerWidth;
}

/** Returns the node that the address names by a trajectory and a step, opened; or null. */
function chosenNode(forest, members, params, opened) {
  const [k, step] = ["of", "step"].map((name) => (/^\d{1,9}$/.test(params.get(name) || "") ? Number(params.get(name)) : null));
  if (k === null || step === null) return null;
  const at = ([i, ordinal]) => members[i].index === k && members[i].steps[ordinal].index === step;
  const found = forest.flatMap(downFrom).find((node) => node.rows.some(at)) || null;
  if (found) opened.reveal(found);
  return found;
}

function forestSentence(forest) {
  const leaves = forest.reduce((sum, root) => sum + root.leaves, 0);
  const parted = forest.flatMap(downFrom).filter(branches).length;
  const whole = forest.reduce((sum, root) => ({ leaves: sum.leaves + root.leaves, scored: sum.scored + root.scored, passed: sum.passed + root.passed }), { leaves: 0, scored: 0, passed: 0 });
  return `${plural(forest.length, "tree")}: ${plural(sizeOf(forest), "step")}, ${plural(parted, "branch point")}, ${plural(leaves, "leaf", "leaves")}. ${passesBelow(whole)}.`;
}

function foldButton(forest, opened, drawn) {
  if (sizeOf(forest) > MOST_UNFOLDED) return null;
  const name = () => (opened.folds ? "Unfold chains" : "Fold chains");
  const button = h("button", { type: "button", class: "chip", on: { click: () => {
    opened.folds = !opened.folds;
    opened.alone.clear();
    clear(button, name());
    drawn.redraw();
  } } }, name());
  return button;
}

/** Draws into a box and follows what is opened there; returns `{ redraw, placed }`. */
function drawTree(box, detail, forest, opened, view) {
  let made = [];
  const redraw = (focused) => {
    const { marks, rows, width } = layOut(forest, opened);
    made = marks.map((mark) => ({ mark, element: drawMark(mark, view) }));
    for (const { mark, element } of made) element.setAttribute("transform", `translate(${mark.x + 2} ${mark.y * STEP.row + STEP.top})`);
    const knobs = marks.map((mark) => ({ mark, element: knob(mark), closes: true })).filter(({ element }) => element);
    const whole = { width: width + 6, height: rows * STEP.row + STEP.top };
    clear(box, svg("svg", { ...whole, viewBox: `0 0 ${whole.width} ${whole.height}`, role: "group", "aria-label": "tree of steps", class: "tree" },
      marks.filter((mark) => mark.from).map(edge), made.map(({ element }) => element), knobs.map(({ element }) => element)));
    const all = [...made, ...knobs];
    for (const each of all) wire(each, () => redraw(each.mark.tip || each.mark.node), opened, () => clear(detail, detailOf(each.mark, view)));
    const target = focused && made.find(({ mark }) => mark.node === focused || mark.chain.includes(focused));
    if (target) target.element.focus();
  };
  redraw(null);
  box.addEventListener("keydown", (event) => walkTree(event, made));
  return { redraw: () => redraw(null), placed: () => placeTree(made, view) };
}

/** Lets a mark be pointed at and, where it stands for what is not drawn, be opened. */
function wire({ mark, element, closes }, redraw, opened, tell) {
  element.addEventListener("mouseenter", tell);
  element.addEventListener("focus", tell);
  const open = { chain: () => opened.unfold(mark.chain), closed: () => opened.toggle(mark.node),
    more: () => opened.shown.set(mark.node, opened.most(mark.node) + 5 * CHILDREN_AT_ONCE) }[mark.kind];
  const act = closes ? () => opened.toggle(mark.tip) : open;
  if (!act) return;
  const run = () => (act(), redraw());
  element.addEventListener("click", run);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    run();
  });
}

/** Arrow keys: right and left along the tree, up and down between rows. */
function walkTree(event, made) {
  const here = made.find(({ element }) => element === document.activeElement);
  if (!here || !event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const { mark } = here;
  const of = (wanted) => made.find((each) => each.mark === wanted);
  const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  let next = event.key === "ArrowLeft" ? mark.from && of(mark.from) : event.key === "ArrowRight" ? mark.next && of(mark.next[0]) : null;
  if (by) {
    const far = (each) => 1e4 * Math.abs(each.mark.y - mark.y) + Math.abs(each.mark.x - mark.x);
    next = made.filter((each) => by * (each.mark.y - mark.y) > 0 && each.mark.kind !== "root").sort((a, b) => far(a) - far(b))[0];
  }
  if (!next || next.mark.kind === "root") return;
  next.element.focus();
  next.element.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function placeTree(made, view) {
  const target = view.chosen && made.find(({ mark }) => mark.kind === "step" && mark.node === view.chosen);
  if (!target) return;
  target.element.focus({ preventScroll: true });
  target.element.scrollIntoView({ block: "center", inline: "center" });
}

/** Says about a mark what does not fit into it. */
function detailOf(mark, view) {
  const { node, chain } = mark;
  if (mark.kind === "leaf") {
    const member = view.members[mark.left];
    return [h("b", {}, data(member.id || "(no name)")), ` ${outcomeWord(member.index)} ${num(T.outcome[member.index])}, ${CLAIM_WORDS[member.claim]}, ${END_WORDS[member.end]}.`];
  }
  if (mark.kind === "root") return [h("b", {}, "Prompt. "), passesBelow(node), "."];
  if (mark.kind === "chain") return [h("b", {}, `${plural(chain.length, "step")} in a row. `), data(chain.slice(0, 6).map((each) => what(stepAt(view, each.rows[0]))).join(", ")), chain.length > 6 ? " …" : "", ` Below: ${passesBelow(node)}. Enter unfolds.`];
  if (mark.kind !== "step") return [h("b", {}, plural(node.leaves, "leaf", "leaves")), ` below: ${passesBelow(node)}. Enter opens.`];
  const step = stepAt(view, node.rows[0]);
  return [h("b", {}, `step ${step.index} `), data(what(step)), view.credits.map((credit, i) => ` · ${view.methods[i].name} ${creditTold(node, credit)}`),
    `. Below: ${passesBelow(node)}. `, step.replay && `Replayed: ${truthText(step.replay)}. `, step.evidence.map((fact) => [data(fact.text[0].toUpperCase() + fact.text.slice(1)), ". "])];
}

function creditTold(node, credit) {
  const { value, low, high, rows } = creditOf(node, credit);
  if (value === null) return "no credit";
  return low === high ? signed(value) : `${signed(value)}, mean of ${count(rows)} from ${signed(low)} to ${signed(high)}`;
}

/** Returns the steps of a forest, each once, as `whatIf` takes them. */
function nodeEntries(forest, view) {
  return forest.flatMap(downFrom).filter((node) => node.parent).map((node) => {
    const [i, s] = node.rows[0];
    const step = view.members[i].steps[s];
    const others = node.rows.length > 1 ? ` and ${count(node.rows.length - 1)} more` : "";
    return { name: `step ${step.index}, ${what(step)}: ${shortId(view.members[i])}${others}`, href: addressOf(view, node.rows[0]), values: view.credits.map((credit) => creditOf(node, credit).value), truth: step.replay && truthCell(step.replay) };
  });
}
