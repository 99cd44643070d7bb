// Coasts and countries from TopoJSON, and the lines of latitude and longitude.
import { mercator } from "./model.js";

/** Countries as rings of the unit square; each has its name and the middle of its largest ring. */
export function countries(topology) {
  const { scale, translate } = topology.transform;
  const arcs = topology.arcs.map((arc) => {
    let lon = 0, lat = 0;
    return arc.map(([dx, dy]) => {
      lon += dx;
      lat += dy;
      return mercator(lat * scale[1] + translate[1], lon * scale[0] + translate[0]);
    });
  });
  const ringOf = (indices) =>
    indices.flatMap((index, k) => {
      const arc = index < 0 ? [...arcs[~index]].reverse() : arcs[index];
      return k ? arc.slice(1) : arc;
    });
  return topology.objects.countries.geometries.map((shape) => {
    const polygons = shape.type === "Polygon" ? [shape.arcs] : shape.arcs || [];
    const rings = polygons.flatMap((polygon) => polygon.map(ringOf)).map(unrolled).map(withBox);
    const largest = rings.reduce((a, b) => (size(b) > size(a) ? b : a));
    return { name: shape.properties.name, rings, largest };
  });
}

/** A ring without the leap at 180°: it goes on beyond the edge of the map; around a pole it is closed along the map's edge. */
function unrolled(ring) {
  let turn = 0;
  const points = ring.map(([x, y], k) => {
    const step = k ? x - ring[k - 1][0] : 0;
    turn -= Math.abs(step) > 0.5 ? Math.sign(step) : 0;
    return [x + turn, y];
  });
  if (!turn) return points;
  const edge = ring[0][1] > 0.5 ? 1 : 0;
  return [...points, [points.at(-1)[0], edge], [points[0][0], edge]];
}

function withBox(points) {
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  return { points, west: Math.min(...xs), east: Math.max(...xs), north: Math.min(...ys), south: Math.max(...ys) };
}

const size = (ring) => (ring.east - ring.west) * (ring.south - ring.north);

/** `view`: x0, y0 world pixels of the left upper corner, `world` pixels of the whole, width and height. */
export function drawCountries(pen, all, view, colours, strength) {
  pen.save();
  pen.fillStyle = colours.sea;
  pen.globalAlpha = strength;
  pen.fillRect(0, 0, view.width, view.height);
  pen.globalAlpha = 1;
  pen.lineJoin = "round";
  for (const turn of [-1, 0, 1]) {
    const land = new Path2D();
    for (const country of all) {
      for (const ring of country.rings) {
        const left = (ring.west + turn) * view.world - view.x0, right = (ring.east + turn) * view.world - view.x0;
        const top = ring.north * view.world - view.y0, bottom = ring.south * view.world - view.y0;
        if (right < 0 || left > view.width || bottom < 0 || top > view.height) continue;
        ring.points.forEach(([x, y], k) => {
          const px = (x + turn) * view.world - view.x0, py = y * view.world - view.y0;
          if (k) land.lineTo(px, py);
          else land.moveTo(px, py);
        });
        land.closePath();
      }
    }
    pen.fillStyle = colours.land;
    pen.fill(land, "evenodd");
    pen.globalAlpha = strength;
    pen.strokeStyle = colours.border;
    pen.lineWidth = 1;
    pen.stroke(land);
    pen.globalAlpha = 1;
  }
  pen.restore();
}

export function drawNames(pen, all, view, colours, strength) {
  pen.save();
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.globalAlpha = strength;
  pen.lineJoin = "round";
  for (const turn of [-1, 0, 1]) {
    for (const { name, largest } of all) {
      const x = ((largest.west + largest.east) / 2 + turn) * view.world - view.x0;
      const y = ((largest.north + largest.south) / 2) * view.world - view.y0;
      const room = (largest.east - largest.west) * view.world;
      if (x < 0 || x > view.width || y < 0 || y > view.height || pen.measureText(name).width > room * 0.8) continue;
      pen.strokeStyle = colours.land;
      pen.lineWidth = 3;
      pen.strokeText(name, x, y);
      pen.fillStyle = colours.quiet;
      pen.fillText(name, x, y);
    }
  }
  pen.restore();
}

const STEPS = [30, 15, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001];
const APART_PX = 110;
const BUTTONS_PX = 150, SCALE_PX = 40; // room at the left edge where labels would lie under something

export function drawGrid(pen, view, colours) {
  const perDegree = view.world / 360;
  const step = [...STEPS].reverse().find((s) => s * perDegree >= APART_PX) ?? STEPS[0];
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  pen.save();
  pen.strokeStyle = colours.grid;
  pen.fillStyle = colours.quiet;
  pen.lineWidth = 1;
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  pen.beginPath();
  const labels = [];
  const west = (view.x0 / view.world - 0.5) * 360;
  for (let k = Math.ceil(west / step); k * step < west + view.width / perDegree; k++) {
    const x = Math.round((k * step - west) * perDegree) + 0.5;
    pen.moveTo(x, 0);
    pen.lineTo(x, view.height);
    const lon = ((((k * step + 180) % 360) + 360) % 360) - 180;
    labels.push([`${Math.abs(lon).toFixed(digits)}°${lon < 0 ? "W" : "E"}`, x + 3, 12]);
  }
  const latAt = (py) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * (py + view.y0)) / view.world))) * 180) / Math.PI;
  const south = latAt(view.height), north = latAt(0);
  for (let k = Math.ceil(south / step); k * step < north; k++) {
    const y = Math.round(mercator(k * step, 0)[1] * view.world - view.y0) + 0.5;
    pen.moveTo(0, y);
    pen.lineTo(view.width, y);
    const lat = k * step;
    labels.push([`${Math.abs(lat).toFixed(digits)}°${lat < 0 ? "S" : "N"}`, 4, y - 3, true]);
  }
  pen.stroke();
  for (const [text, x, y, isLatitude] of labels) {
    if (isLatitude ? y < BUTTONS_PX || y > view.height - SCALE_PX : x < BUTTONS_PX / 3) continue;
    pen.fillText(text, x, y);
  }
  pen.restore();
}
