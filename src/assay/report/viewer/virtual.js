// A list of any length that draws the rows in sight.

const AROUND = 6;
const PRINTED = 2000;

/** Fills `box` with `n` rows of `height` pixels; `draw(i)` makes row i. Follows the window. */
function virtualRows(box, n, height, draw, around = AROUND) {
  const drawn = new Map();
  box.style.setProperty("height", n * height + "px");
  box.classList.add("virtual");

  function update(all) {
    if (!box.isConnected && !all) return;
    const top = all ? 0 : -box.getBoundingClientRect().top;
    const from = all ? 0 : Math.max(0, Math.floor(top / height) - around);
    const until = all ? Math.min(n, PRINTED) : Math.min(n, Math.ceil((top + innerHeight) / height) + around);
    for (const [i, row] of drawn) {
      if ((i < from || i >= until) && !row.contains(document.activeElement)) {
        row.remove();
        drawn.delete(i);
      }
    }
    for (let i = from; i < until; i++) {
      if (drawn.has(i)) continue;
      const row = draw(i);
      row.style.setProperty("top", i * height + "px");
      row.style.setProperty("height", height + "px");
      drawn.set(i, row);
      box.appendChild(row);
    }
  }

  const follow = () => {
    if (!box.isConnected) return stop();
    update(false);
  };
  const forPrint = () => update(true);
  function stop() {
    removeEventListener("scroll", follow);
    removeEventListener("resize", follow);
    removeEventListener("beforeprint", forPrint);
  }
  addEventListener("scroll", follow, { passive: true });
  addEventListener("resize", follow);
  addEventListener("beforeprint", forPrint);

  return {
    update: () => update(false),
    stop,
    /** Draws row i if it is out of sight, brings it into sight and returns it. */
    reveal(i) {
      const rect = box.getBoundingClientRect();
      const y = rect.top + i * height;
      if (y < 90 || y + height > innerHeight - 20) scrollBy(0, y - innerHeight / 2);
      update(false);
      return drawn.get(i);
    },
  };
}
