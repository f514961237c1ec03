// While the log is still written, a served page looks for a newer one and offers it; the reader's
// place, address and scroll position, stays.

const PLACE = "assay-place";
const LOOK_MS = 2000;

function offerNewer() {
  if ($("newer")) return;
  const button = h("button", { type: "button", on: { click: () => {
    sessionStorage.setItem(PLACE, JSON.stringify([location.hash, scrollY]));
    location.reload();
  } } }, "Show it");
  document.body.appendChild(h("p", { id: "newer", role: "status" }, "Newer data is there.", button));
}

async function lookForNewer(seen) {
  let tag = seen;
  try {
    tag = (await fetch("/", { method: "HEAD", cache: "no-store" })).headers.get("ETag") || seen;
  } catch { /* nobody serves it any more: it stays as it is */ }
  if (seen && tag !== seen) offerNewer();
  setTimeout(() => lookForNewer(seen || tag), LOOK_MS);
}

/** Once the page is drawn, scrolls to where the reader was before it was loaded again. */
function backToPlace(tries) {
  const [hash, y] = JSON.parse(sessionStorage.getItem(PLACE) || "[null, 0]");
  if (hash !== location.hash) return;
  const drawn = performance.getEntriesByName("assay:drawn").length;
  if (!drawn && tries) return void setTimeout(() => backToPlace(tries - 1), 50);
  sessionStorage.removeItem(PLACE);
  scrollTo(0, y);
}

if (report.live && location.protocol === "http:") {
  backToPlace(200);
  lookForNewer(null);
}
