// Curves over epochs as a small picture: named, scaled, told in words besides.

const SPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [360, 190, 38, 22, 8];

const shape = (tag, attributes, text) => {
  const node = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
};

const steps = (low, high) => {
  const raw = (high - low) / 4 || 1;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= raw);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
};

// `series`: [{ name, points: [[epoch, value], …] }]. `range`: [low, high], or null for the data's.
export const chart = (title, series, range = null) => {
  const points = series.flatMap((one) => one.points).filter(([, y]) => Number.isFinite(y));
  const most = Math.max(2, ...points.map(([x]) => x));
  let [low, high] = range ?? [Math.min(...points.map(([, y]) => y)), Math.max(...points.map(([, y]) => y))];
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const across = (x) => LEFT + ((x - 1) / (most - 1)) * (WIDTH - LEFT - 8);
  const up = (y) => TOP + (1 - (y - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const ends = series.map(({ name, points: own }) => `${name} ${own.length ? own[own.length - 1][1].toFixed(3) : "none"}`);
  const picture = shape("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} by epoch; last: ${ends.join(", ")}` });
  for (const y of steps(low, high)) {
    picture.append(shape("line", { class: "rule", x1: LEFT, x2: WIDTH, y1: up(y), y2: up(y) }),
      shape("text", { x: LEFT - 7, y: up(y) + 4, "text-anchor": "end" }, String(Number(y.toFixed(3)))));
  }
  for (const x of [1, most]) picture.append(shape("text", { x: across(x), y: HEIGHT - 5, "text-anchor": x === 1 ? "start" : "end" }, x === 1 ? "epoch 1" : String(x)));
  series.forEach(({ points: own }, place) => {
    const line = own.filter(([, y]) => Number.isFinite(y)).map(([x, y]) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`);
    if (line.length > 1) picture.append(shape("path", { class: `s${place % 8}`, d: `M${line.join("L")}` }));
    if (line.length) {
      const [cx, cy] = line[line.length - 1].split(",");
      picture.append(shape("circle", { class: `s${place % 8}`, cx, cy, r: 3 }));
    }
  });
  return picture;
};
