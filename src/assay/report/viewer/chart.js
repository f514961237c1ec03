// Small drawings of numbers in their order: lines of shares, and bars up and down.

const CHART_WIDE = 720;
const CHART_HIGH = 150;
const MOST_BARS = 120;

const placeAcross = (n, count) => 46 + (n + 0.5) * ((CHART_WIDE - 54) / Math.max(1, count));

/** Returns the frame of a drawing: a line at each of some heights, and the first and last name below. */
function chartFrame(label, names, heights, y, ...inside) {
  const last = names.length - 1;
  return h("div", { class: "scroll" }, svg("svg", { class: "chart", viewBox: `0 0 ${CHART_WIDE} ${CHART_HIGH + 20}`, role: "img", "aria-label": label },
    heights.map(([value, text]) => [svg("path", { class: "grid-line", d: `M46 ${y(value)}H${CHART_WIDE - 8}` }), svg("text", { x: 40, y: y(value), class: "height" }, text)]),
    svg("text", { x: placeAcross(0, names.length), y: CHART_HIGH + 14, class: "at" }, names[0]),
    last > 0 && svg("text", { x: placeAcross(last, names.length), y: CHART_HIGH + 14, class: "at" }, names[last]), inside));
}

/** Draws lines of `{ name, kind, values, texts }`; null is a gap. Heights in `marks` are drawn across. */
function lineChart(label, names, lines, least, most, marks = []) {
  const y = (value) => 6 + (CHART_HIGH - 12) * (1 - (value - least) / (most - least || 1));
  const middle = least < 0 && most > 0 ? 0 : (least + most) / 2;
  const heights = [least, middle, most].map((value) => [value, two(value)]);
  const drawn = lines.map(({ kind, values, texts }) => {
    let d = "";
    values.forEach((value, n) => {
      if (value !== null) d += `${n > 0 && values[n - 1] !== null ? "L" : "M"}${placeAcross(n, names.length).toFixed(1)} ${y(value).toFixed(1)}`;
    });
    const dots = values.map((value, n) => value !== null && svg("circle", { cx: placeAcross(n, names.length).toFixed(1), cy: y(value).toFixed(1), r: names.length > 60 ? 1.5 : 3 }, svg("title", {}, `${names[n]}: ${texts ? texts[n] : num(value)}`)));
    return svg("g", { class: `line ${kind}` }, svg("path", { d }), dots);
  });
  return [h("p", { class: "keys" }, lines.map(({ name, kind }) => h("span", {}, h("i", { class: `key ${kind}`, "aria-hidden": "true" }), " ", data(name)))), chartFrame(label, names, heights, y, marks.map((value) => svg("path", { class: "mark-line", d: `M46 ${y(value)}H${CHART_WIDE - 8}` })), drawn)];
}

/** Draws two counts of each place as bars up and down; many neighbours are added up. */
function barChart(label, names, up, down) {
  const size = Math.ceil(names.length / MOST_BARS);
  const packs = Array.from({ length: Math.ceil(names.length / size) }, (_, n) => [n * size, Math.min(names.length, (n + 1) * size)]);
  const sum = (list, [a, b]) => list.slice(a, b).reduce((total, x) => total + x, 0);
  const bars = packs.map((pack) => ({ up: sum(up, pack), down: sum(down, pack), name: pack[1] - pack[0] > 1 ? `${names[pack[0]]} to ${names[pack[1] - 1]}` : `${names[pack[0]]}` }));
  const most = Math.max(1, ...bars.map((bar) => Math.max(bar.up, bar.down)));
  const y = (value) => CHART_HIGH / 2 - (value / most) * (CHART_HIGH / 2 - 6);
  const w = Math.min(24, Math.max(1, (CHART_WIDE - 54) / bars.length - 2));
  const rect = (kind, n, from, to_, text) => from !== to_ && svg("rect", { class: kind, x: (placeAcross(n, bars.length) - w / 2).toFixed(1), width: w.toFixed(1), y: Math.min(y(from), y(to_)).toFixed(1), height: Math.abs(y(from) - y(to_)).toFixed(1) }, svg("title", {}, text));
  return chartFrame(label, names, [[most, count(most)], [0, "0"], [-most, count(most)]], y,
    bars.map((bar, n) => [rect("up", n, 0, bar.up, `${bar.name}: ${count(bar.up)} solved anew`), rect("down", n, 0, -bar.down, `${bar.name}: ${count(bar.down)} lost`)]));
}
