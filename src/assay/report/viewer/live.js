// While the log is still written, a served page looks for a newer one and shows it; the reader's
// place, address and scroll position, stays. Where somebody reads or types, it is offered instead.

const PLACE = "assay-place";
const LOOK_MS = 2000;
const follows = Boolean(report.live) && location.protocol === "http:";

/** Returns the names that an address counts by number; numbers may change, names do not. */
const namesOf = ({ name }) => ({ trajectory: T.id, group: G.id })[name];

function showNewer() {
  const names = namesOf(route);
  sessionStorage.setItem(PLACE, JSON.stringify([location.hash, scrollY, names ? names[route.index] : null]));
  location.reload();
}

/** Would the reader lose something that is not kept: opened texts, a selection, a half-typed word? */
function isBusy() {
  return route.name === "trajectory" || !getSelection().isCollapsed || document.querySelector("dialog") !== null
    || document.activeElement?.matches("input, select") || document.querySelector("details[open]") !== null;
}

function offerNewer() {
  if ($("newer")) return;
  document.body.appendChild(h("p", { id: "newer", role: "status" }, "Newer data is there.",
    h("button", { type: "button", on: { click: showNewer } }, "Show it")));
}

async function lookForNewer(seen) {
  let tag = seen;
  try {
    tag = (await fetch("/", { method: "HEAD", cache: "no-store" })).headers.get("ETag") || seen;
  } catch { /* nobody serves it any more: it stays as it is */ }
  if (seen && tag !== seen) {
    if (!isBusy()) return void showNewer();
    offerNewer();
  }
  setTimeout(() => lookForNewer(seen || tag), LOOK_MS);
}

/** Once the page is drawn, goes to where the reader was before it was loaded again. */
function backToPlace(tries) {
  const [hash, y, name] = JSON.parse(sessionStorage.getItem(PLACE) || "[null, 0, null]");
  if (hash !== location.hash) return;
  const names = namesOf(route);
  const now = names && name !== null ? names.indexOf(name) : -1;
  if (now >= 0 && now !== route.index) {
    route.index = now;
    setParams({});
    sessionStorage.setItem(PLACE, JSON.stringify([location.hash, y, name]));
    show();
  }
  const drawn = performance.getEntriesByName("assay:drawn").length;
  if (!drawn && tries) return void setTimeout(() => backToPlace(tries - 1), 50);
  sessionStorage.removeItem(PLACE);
  scrollTo(0, y);
}

if (follows) {
  backToPlace(200);
  lookForNewer(null);
}
