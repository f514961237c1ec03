// One group: its attempts as rows on one axis of steps.

pages.group = async (root, { index: g, params }) => {
  if (g === null || g >= G.id.length) return notThere(root, "group");
  const members = await membersOf(g);
  const order = members.map((_, i) => i).sort((a, b) =>
    (members[b].outcome ?? -1) - (members[a].outcome ?? -1) || a - b);
  const aligned = params.get("align") === "calls";
  const beside = besideMethod();
  const tree = isTree(members);
  add(root, [
    crumbs([["Groups", to("groups")]]),
    h("h1", {}, "Group ", data(G.id[g] || "(no name)")),
    h("p", { class: "lede" }, fateBadge(G.fate[g]), " ", groupSentence(g)),
    G.task[g] !== G.id[g] && h("p", { class: "note" }, "Task ", data(G.task[g])),
    await promptOf(g),
    h("div", { class: "bar-of-tools" }, creditsAny && legend(), creditsAny && besideChoice(), (members.length > 1 || tree) && alignSwitch(aligned, tree)),
    lanes(order.map((i) => members[i]), aligned), besideGroup(g),
    rubricMatrix(order.map((i) => members[i])),
    beside && whatIf(stepEntries(members, [currentMethod(), beside]), [currentMethod(), beside]),
    G.fate[g] !== "unscored" && G.written[g].some((n) => n > 0) && methodTable(g),
  ]);
  const links = () => [...root.querySelectorAll(".lane-name a")];
  return { move: (by) => moveFocus(links(), by), up: to("groups"), next: groupBy(g, 1), previous: groupBy(g, -1), tree: tree ? to(`tree/${g}`) : null };
};

/** Returns what the first attempt was asked last before the policy wrote, where the log has it. */
async function promptOf(g) {
  const { steps } = await recordOf(G.members[g][0]);
  const wrote = steps.findIndex((step) => step.kind === "model" && step.untrainable !== "copied");
  const asked = steps.slice(0, wrote < 0 ? steps.length : wrote).reverse().find((step) => step.kind === "user");
  return asked && asked.text && h("blockquote", { class: "asked" }, longText(asked.text, 300));
}

const groupBy = (g, by) => (G.id[g + by] === undefined ? null : toGroup(g + by));

function notThere(root, what) {
  add(root, [h("h1", {}, `There is no such ${what}`), h("p", { class: "plain" }, "The address names a number that this report does not have. ",
    h("a", { href: to("groups") }, "See all groups"))]);
}

function crumbs(links) {
  return h("nav", { class: "crumbs", "aria-label": "Where you are" }, links.map(([name, href]) => [h("a", { href }, data(name)), h("span", { "aria-hidden": "true" }, "/")]));
}

function groupSentence(g) {
  const n = G.sessions[g];
  const outputs = G.members[g].filter((k) => !rescueAt.has(k)).length;
  const branches = outputs > n ? ` (${count(outputs)} outputs of them)` : "";
  const lost = G.written[g].reduce((sum, amount, i) => sum + (["trained_up", "trained_down"].includes(report.fates[i]) ? 0 : amount), 0);
  const all = G.written[g].reduce((sum, amount) => sum + amount, 0);
  const punished = G.punished[g] ? ` ${plural(G.punished[g], "correct call")} in failed attempts.` : "";
  if (G.fate[g] === "unscored" && n > 0) return `Nobody scored ${n === 1 ? "its attempt" : `any of its ${count(n)} attempts`}.`;
  const unknown = n - G.scored[g];
  const unscored = unknown ? `, ${count(unknown)} without an outcome` : "";
  return `${count(G.passed[g])} of ${plural(n, "attempt")}${branches} passed${withHelp(g)}${unscored}. ${taught(lost, all)}${punished}`;
}

function taught(lost, all) {
  if (all === 0) return "They wrote nothing.";
  if (lost === 0) return "Nothing says that any of what they wrote taught the wrong thing.";
  const how = lost === all ? "All" : part(lost, all);
  return `${how} of what they wrote taught nothing or the wrong thing.`;
}

function alignSwitch(aligned, tree) {
  const link = (name, on, value) => h("a", { href: to(`group/${route.index}`, { align: value, beside: route.params.get("beside") }), class: "chip", "aria-current": on ? "true" : null }, name);
  return h("div", { class: "chips", role: "group", "aria-label": "Steps side by side" },
    link("By position", !aligned, null), link("By equal calls", aligned, "calls"),
    tree && h("a", { href: to(`tree/${route.index}`), class: "chip", id: "to-tree" }, "As a tree"));
}

/** Returns the steps of attempts as `whatIf` takes them. */
function stepEntries(members, pair) {
  return members.flatMap((member) => {
    const columns = pair.map((method) => unpack(member.methods[method.name].step, member.steps.length));
    return member.steps.map((step, s) => ({ name: `step ${step.index}, ${what(step)}: ${shortId(member)}`,
      href: toTrajectory(member.index, { step: step.index }), values: columns.map((column) => column[s]), truth: step.replay && truthCell(step.replay) }));
  });
}

function lanes(members, aligned) {
  const method = currentMethod();
  const { columns, width } = aligned ? columnsOf(members)
    : { columns: members.map((m) => m.steps.map((_, i) => i)), width: Math.max(0, ...members.map((m) => m.steps.length)) };
  const detail = h("p", { class: "lane-detail", role: "status" }, width ? "Point at a step, or move to it with the arrow keys." : "No attempt has a step.");
  const cells = [];
  const rows = members.map((member, i) => {
    const lane = h("div", { class: "lane", role: "group", "aria-label": `steps of ${member.id}`, style: { "--columns": String(Math.max(1, width)) } });
    const values = unpack(member.methods[method.name].step, member.steps.length);
    const why = unpack(member.methods[method.name].why, member.steps.length);
    member.steps.forEach((step, s) => {
      const cell = laneCell(member, step, values[s], method.scale, columns[i][s]);
      const show = () => {
        clear(detail, h("b", {}, `step ${step.index} `), data(step.calls.join(", ") || "text"), ` ${signed(values[s])}. `, step.replay && `Replayed: ${truthText(step.replay)}. `, reasonText(member, why[s]));
        for (const [other, key] of cells) other.classList.toggle("same", Boolean(step.key) && key === step.key);
      };
      cell.addEventListener("mouseenter", show);
      cell.addEventListener("focus", show);
      cells.push([cell, step.key]);
      lane.appendChild(cell);
    });
    return h("div", { class: "lane-row" }, laneName(member), h("div", { class: "lane-scroll" }, lane));
  });
  const box = h("div", { class: "lanes" }, rows, detail);
  box.addEventListener("keydown", laneKeys);
  const scrolls = box.querySelectorAll(".lane-scroll"); // rows scroll together
  scrolls.forEach((one) => one.addEventListener("scroll", () => scrolls.forEach((other) => (other.scrollLeft = one.scrollLeft)), { passive: true }));
  return box;
}

function laneName(member) {
  const k = member.index;
  return h("div", { class: "lane-name" }, square(k),
    h("a", { href: toTrajectory(k) }, data(member.id || "(no name)")),
    h("small", {}, helpedBadge(k), outcomeWord(k), T.outcome[k] === null ? "" : ` ${num(T.outcome[k])}`,
      member.claim === "none" ? "" : ` · ${CLAIM_WORDS[member.claim]}`,
      member.end === "unknown" || member.end === "answered" ? "" : ` · ${END_WORDS[member.end]}`,
      member.decision.verdict === "drop" && !SAID_ALREADY.includes(member.decision.reason) && ` · left out: ${words(member.decision.reason)}`));
}

function laneCell(member, step, value, scale, column) {
  const error = step.evidence.some((fact) => fact.code === "error" || fact.code === "malformed");
  const wronged = value < 0 && step.correct.length > 0;
  const label = `step ${step.index}, ${step.calls.join(", ") || "text"}, advantage ${signed(value)}${error ? ", error" : ""}${wronged ? ", punished though correct" : ""}${step.replay ? `, replayed: ${truthText(step.replay)}` : ""}`;
  return h("a", { class: `cell ${shade(value, scale)}${wronged ? " wronged" : ""}${step.replay ? ` replayed-${step.replay.verdict}` : ""}`, href: toTrajectory(member.index, { step: step.index }),
    "aria-label": label, style: { "grid-column": String(column + 1) } }, error ? "!" : step.calls.length ? "" : "·");
}

function reasonText(shape, code) {
  const name = reasonCodes[code];
  return shape.why[name] || "";
}

/** Arrow keys walk the cells: left and right in a row, up and down between rows. */
function laneKeys(event) {
  const cell = event.target.closest(".lane .cell");
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!cell || !by) return;
  event.preventDefault();
  const lanesHere = [...event.currentTarget.querySelectorAll(".lane")];
  const lane = cell.parentNode;
  const inLane = [...lane.children];
  const target = by[1] === 0 ? inLane[inLane.indexOf(cell) + by[0]]
    : nearest(lanesHere[lanesHere.indexOf(lane) + by[1]], cell);
  if (target) target.focus();
}

function nearest(lane, cell) {
  const column = Number(cell.style.getPropertyValue("grid-column-start") || 1);
  const far = (each) => Math.abs(Number(each.style.getPropertyValue("grid-column-start") || 1) - column);
  return lane && [...lane.children].sort((a, b) => far(a) - far(b))[0];
}

function methodTable(g) {
  const rows = report.methods.map((each) => [each.name, G.signal[each.name][g] || 0]);
  const most = Math.max(1e-12, ...rows.map(([, x]) => x));
  const live = rows.filter(([, x]) => x > 0).sort((a, b) => b[1] - a[1]);
  return section("What each method would do here", `Mean absolute advantage over the ${unit} of this group.`,
    live.length === 0 ? h("p", { class: "plain" }, "No method moves anything in this group.")
      : table("Signal by method", ["Method", "Signal"], live.map(([name, x]) => [
        h("a", { href: to(`group/${g}`, { method: name === report.reference ? null : name }) }, data(name)),
        h("span", { class: "measure" }, bar(x / most), num(x))]), "recovered"));
}

function moveFocus(nodes, by) {
  if (!nodes.length) return;
  const at = nodes.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : nodes.length - 1) : Math.max(0, Math.min(nodes.length - 1, at + by));
  nodes[next].focus();
  nodes[next].scrollIntoView({ block: "nearest" });
}
