// The header, the keyboard, and the start.

const NAV = [["waste", "Overview"], ["groups", "Groups"], ...(report.dead.length ? [["dead", "Dead groups"]] : []), ["claims", "Claims"], ...(course || hasTrust ? [["course", "Over the run"]] : []), ...(skills ? [["skills", "Skills"]] : []), ...(replay ? [["replay", "Replay"]] : [])];
const KEYS = [
  ["j, k", "next, previous row or step"],
  ["Enter", "open"],
  ["u", "up: to the group, to all groups"],
  ["[, ]", "previous, next sibling or group"],
  ["t", "the tree of a group, where its attempts share steps"],
  ["c", "compare with a sibling of the other outcome"],
  ["m, M", "next, previous method: everything recolours"],
  ["w, g, v", "overview, groups, claimed and verified"],
  ["d", "groups that failed as a whole, and what was tried"],
  ...(course || hasTrust ? [["o", "over the run"]] : []),
  ...(skills ? [["s", "skills that attempts read"]] : []),
  ...(replay ? [["r", "credit against replay"]] : []),
  ["/", "filter groups"],
  ["arrow keys", "inside a heat-map, the steps of a group, a tree"],
  ["?", "this list"],
];

function drawHeader() {
  const method = currentMethod();
  const here = { group: "groups", trajectory: "groups", tree: "groups", other: "dead" }[route.name] || (pages[route.name] ? route.name : "waste");
  const choice = h("select", { id: "method", "aria-label": "Credit by", on: { change: () => chooseMethod(choice.value) } },
    report.methods.map((each) => h("option", { value: each.name }, each.name)));
  choice.value = method.name;
  const source = method.about.source;
  const hadFocus = document.activeElement && document.activeElement.id;
  clear($("top"),
    h("a", { class: "brand", href: to("waste") }, "Assay"),
    h("span", { class: "title data", title: report.title }, report.title),
    h("nav", { "aria-label": "Pages" }, NAV.map(([name, title]) => h("a", { href: to(name), "aria-current": name === here ? "page" : null }, title))),
    creditsAny && h("label", { class: "method", title: `Whose advantages are shown: ${method.name}${source ? `, ${source}` : ""}` }, h("span", {}, "Credit by "), choice),
    h("button", { type: "button", id: "help-button", "aria-label": "Keyboard shortcuts", on: { click: help } }, "?"));
  if (hadFocus === "method") choice.focus();
}

function help() {
  const box = h("dialog", { class: "help", "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, "Keyboard"),
    h("dl", {}, KEYS.map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)])),
    h("form", { method: "dialog" }, h("button", { type: "submit", on: { click: (event) => (event.preventDefault(), box.close()) } }, "Close")));
  box.addEventListener("close", () => box.remove());
  document.body.appendChild(box);
  box.showModal();
}

function stepMethod(by) {
  const names = report.methods.map((each) => each.name);
  const next = names[(names.indexOf(currentMethod().name) + by + names.length) % names.length];
  chooseMethod(next);
}

const go = (address) => address && (location.hash = address);

const ACTIONS = {
  j: () => pageKeys.move && pageKeys.move(1),
  k: () => pageKeys.move && pageKeys.move(-1),
  u: () => go(pageKeys.up),
  "[": () => go(pageKeys.previous),
  "]": () => go(pageKeys.next),
  c: () => pageKeys.compare && pageKeys.compare(),
  t: () => go(pageKeys.tree),
  m: () => stepMethod(1),
  M: () => stepMethod(-1),
  w: () => go(to("waste")),
  g: () => go(to("groups")),
  v: () => go(to("claims")),
  d: () => go(to("dead")),
  o: () => (course || hasTrust) && go(to("course")),
  s: () => skills && go(to("skills")),
  r: () => replay && go(to("replay")),
  "/": () => (pageKeys.find ? pageKeys.find() : go(to("groups"))),
  "?": help,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, dialog")) {
    if (event.key === "Escape" && event.target.id === "filter") event.target.blur();
    return;
  }
  const action = Object.hasOwn(ACTIONS, event.key) ? ACTIONS[event.key] : null;
  if (!action) return;
  event.preventDefault();
  action();
});

addEventListener("hashchange", () => {
  const before = route;
  const next = parseRoute();
  const samePage = before.name === next.name && before.index === next.index;
  const card = samePage && next.name === "trajectory" && next.params.get("with") === null && before.params.get("with") === null
    && before.params.get("method") === next.params.get("method") ? $("step-" + next.params.get("step")) : null;
  if (card) {
    route = next;
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
    return;
  }
  show();
});

show();
