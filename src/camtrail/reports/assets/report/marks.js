// Signs of photos: what became of one is told by its shape, its sequence by the colour.

const SHAPES = { located: "dot", estimated: "ring", duplicate: "cross" };
const LEAST_WITH_EDGE_PX = 2.5; // smaller dots lie so close that edges would be all one sees
const DASHES = [[], [7, 5], [1, 5]];

export const shapeOf = (outcome) => SHAPES[outcome] ?? "triangle";

/** Colour and dashes of a sequence, counted from 1; 0 is none. */
export function lookOf(sequence, colours) {
  if (!sequence) return { colour: colours.alone, dash: [] };
  const k = sequence - 1;
  return { colour: colours.rides[k % 10], dash: DASHES[Math.floor(k / 10) % 3] };
}

export function drawMark(pen, shape, x, y, r, colour, colours) {
  pen.beginPath();
  pen.lineWidth = 1.5;
  if (shape === "triangle") {
    pen.moveTo(x, y - r * 1.25);
    pen.lineTo(x + r * 1.2, y + r * 0.85);
    pen.lineTo(x - r * 1.2, y + r * 0.85);
    pen.closePath();
  } else {
    pen.arc(x, y, r, 0, 2 * Math.PI);
  }
  if (shape === "dot") {
    pen.fillStyle = colour;
    pen.strokeStyle = colours.halo;
    pen.lineWidth = r > 4 ? 1.5 : 1;
    pen.fill();
    if (r > LEAST_WITH_EDGE_PX) pen.stroke();
    return;
  }
  pen.fillStyle = colours.halo;
  pen.strokeStyle = shape === "triangle" ? colours.bad : colour;
  pen.lineWidth = r > 4 ? 2 : 1.5;
  pen.fill();
  pen.stroke();
  if (shape === "cross") {
    const arm = r * 0.5;
    pen.beginPath();
    pen.moveTo(x - arm, y - arm);
    pen.lineTo(x + arm, y + arm);
    pen.moveTo(x + arm, y - arm);
    pen.lineTo(x - arm, y + arm);
    pen.stroke();
  }
}

const CONE = Math.PI / 7;

/** A fan from the photo to where its lens looks. */
export function drawHeading(pen, headingDeg, x, y, length, colour) {
  const way = (headingDeg * Math.PI) / 180 - Math.PI / 2;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.arc(x, y, length, way - CONE, way + CONE);
  pen.closePath();
  pen.fillStyle = colour;
  pen.globalAlpha = 0.34;
  pen.fill();
  pen.globalAlpha = 0.75;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.stroke();
  pen.globalAlpha = 1;
}

/** Those of the places that stand apart from each other: the first one of each cell of so many pixels. */
export function apart(xs, ys, cellPx) {
  const taken = new Set();
  const found = [];
  for (let k = 0; k < xs.length; k++) {
    const key = Math.floor(ys[k] / cellPx) * 65536 + Math.floor(xs[k] / cellPx);
    if (!taken.has(key)) found.push(k);
    taken.add(key);
  }
  return found;
}

const CELL_PX = 60;

/** Heaps of photos that lie close together. `rows`, `xs`, `ys`: what is in view; `x0`, `y0`: so that heaps stay while the map moves. */
export function heaps(rows, xs, ys, x0, y0, isLocated) {
  const cells = new Map();
  for (let k = 0; k < rows.length; k++) {
    const key = Math.floor((ys[k] + y0) / CELL_PX) * 16777216 + Math.floor((xs[k] + x0) / CELL_PX);
    let heap = cells.get(key);
    if (!heap) cells.set(key, (heap = { rows: [], x: 0, y: 0, problems: 0 }));
    heap.x = (heap.x * heap.rows.length + xs[k]) / (heap.rows.length + 1);
    heap.y = (heap.y * heap.rows.length + ys[k]) / (heap.rows.length + 1);
    heap.rows.push(rows[k]);
    heap.problems += isLocated(rows[k]) ? 0 : 1;
  }
  const kept = [];
  for (const heap of [...cells.values()].sort((a, b) => b.rows.length - a.rows.length)) {
    heap.r = radius(heap.rows.length);
    const near = kept.find((other) => Math.hypot(other.x - heap.x, other.y - heap.y) < 0.9 * (other.r + heap.r));
    if (near) {
      near.rows = near.rows.concat(heap.rows);
      near.problems += heap.problems;
      near.r = radius(near.rows.length);
    } else {
      kept.push(heap);
    }
  }
  return kept;
}

const radius = (n) => (n === 1 ? 5 : Math.min(26, 11 + 4 * Math.log10(n)));

const short = (n) => (n < 1000 ? `${n}` : n < 10000 ? `${(n / 1000).toFixed(1)}k` : `${Math.round(n / 1000)}k`);

export function drawHeap(pen, heap, colours) {
  const { x, y, r } = heap;
  const n = heap.rows.length;
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fillStyle = colours.card;
  pen.fill();
  pen.lineWidth = 3;
  pen.strokeStyle = colours.link;
  pen.stroke();
  if (heap.problems) {
    pen.beginPath();
    pen.arc(x, y, r, -Math.PI / 2, -Math.PI / 2 + Math.max(0.35, (2 * Math.PI * heap.problems) / n));
    pen.strokeStyle = colours.bad;
    pen.stroke();
  }
  pen.fillStyle = colours.ink;
  pen.font = `600 ${n < 1000 ? 12 : 11}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(short(n), x, y + 0.5);
}

const DENSE_PX = 2;

/** So many photos that single ones cannot be seen: the more at a spot, the stronger. */
export function drawDensity(pen, xs, ys, n, width, height, rgb) {
  const w = Math.ceil(width / DENSE_PX), h = Math.ceil(height / DENSE_PX);
  const cells = new Uint32Array(w * h);
  let most = 1;
  for (let k = 0; k < n; k++) {
    const cell = Math.floor(ys[k] / DENSE_PX) * w + Math.floor(xs[k] / DENSE_PX);
    const found = ++cells[cell];
    if (found > most) most = found;
  }
  const picture = new ImageData(w, h);
  const [red, green, blue] = rgb.split(",").map(Number);
  const full = Math.log1p(most);
  for (let cell = 0; cell < cells.length; cell++) {
    if (!cells[cell]) continue;
    picture.data.set([red, green, blue, 90 + 165 * (Math.log1p(cells[cell]) / full)], cell * 4);
  }
  const small = document.createElement("canvas");
  small.width = w;
  small.height = h;
  small.getContext("2d").putImageData(picture, 0, 0);
  pen.save();
  pen.imageSmoothingEnabled = false;
  pen.drawImage(small, 0, 0, w * DENSE_PX, h * DENSE_PX);
  pen.restore();
}
