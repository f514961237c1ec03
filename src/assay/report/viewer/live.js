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
  document.body.insertBefore(h("p", { id: "newer", role: "status" }, "Newer data is there. ", button), $("main"));
}

async function lookForNewer(seen) {
  let tag = seen;
  try {
    tag = (await fetch("/", { method: "HEAD", cache: "no-store" })).headers.get("ETag") || seen;
  } catch { /* nobody serves it any more: it stays as it is */ }
  if (seen && tag !== seen) offerNewer();
  setTimeout(() => lookForNewer(seen || tag), LOOK_MS);
}

function backToPlace(tries) {
  const [hash, y] = JSON.parse(sessionStorage.getItem(PLACE) || "[null, 0]");
  if (hash !== location.hash) return;
  scrollTo(0, y);
  if (tries && scrollY < y) setTimeout(() => backToPlace(tries - 1), 50);
  else sessionStorage.removeItem(PLACE);
}

if (report.live && location.protocol === "http:") {
  backToPlace(40);
  lookForNewer(null);
}
