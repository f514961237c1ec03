// Where we are: #/trajectory/17?step=4&method=toolpo. The address is the whole state of a page.

const pages = {}; // name -> (root, route) => keys of that page, perhaps later

function parseRoute() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, number] = path.split("/");
  const params = new URLSearchParams(query || "");
  const index = /^\d{1,9}$/.test(number || "") ? Number(number) : null;
  return { name: name || "waste", index, params };
}

let route = parseRoute();

function currentMethod() {
  const asked = route.params.get("method");
  return methods.get(asked) || methods.get(report.reference);
}

/** Returns an address; the chosen method stays chosen. Only names of ours and numbers get in. */
function to(path, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params || {})) {
    if (value !== null && value !== undefined && value !== "") query.set(key, value);
  }
  const method = currentMethod().name;
  if (method !== report.reference && !query.has("method")) query.set("method", method);
  const text = query.toString();
  return "#/" + path + (text ? "?" + text : "");
}

const toGroup = (g, params) => to(`group/${g}`, params);
const toTrajectory = (k, params) => to(`trajectory/${k}`, params);

/** Changes parameters of the address without a new entry in the history. */
function setParams(changes) {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") route.params.delete(key);
    else route.params.set(key, value);
  }
  const text = route.params.toString();
  const path = route.index === null ? route.name : `${route.name}/${route.index}`;
  history.replaceState(null, "", "#/" + path + (text ? "?" + text : ""));
}

function chooseMethod(name) {
  setParams({ method: name === report.reference ? null : name });
  say(`credited by ${name}`);
  show({ keepPlace: true });
}

let drawing = 0;
let pageKeys = {};

async function show({ keepPlace = false } = {}) {
  route = parseRoute();
  const turn = ++drawing;
  const main = $("main");
  const place = window.scrollY;
  const draw = pages[route.name] || pages.waste;
  const root = h("div", { class: "page" });
  let keys = {};
  try {
    keys = (await draw(root, route)) || {};
  } catch (error) {
    clear(root, plainMessage(error));
  }
  if (turn !== drawing) return; // something newer was asked for meanwhile
  pageKeys = keys;
  clear(main, root);
  drawHeader();
  if (keepPlace) window.scrollTo(0, place);
  else arrive(root, keys);
  if (keys.placed) keys.placed();
  performance.mark("assay:drawn");
}

function arrive(root, keys) {
  window.scrollTo(0, 0);
  const heading = root.querySelector("h1");
  if (heading && performance.getEntriesByName("assay:drawn").length) {
    heading.setAttribute("tabindex", "-1");
    heading.focus({ preventScroll: true });
  }
  const title = heading ? heading.textContent.slice(0, 80) : "";
  document.title = route.name === "waste" ? `${report.title} · Assay` : `${title} · ${report.title} · Assay`;
}

function plainMessage(error) {
  const known = error instanceof Unreadable;
  return h("p", { class: "plain", role: "alert" },
    known ? error.message : `This page could not be drawn: ${error.message}`);
}
