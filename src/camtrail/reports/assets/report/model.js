// The photos and tracks of the page, as columns.
import { lines, numbers, words } from "./codec.js";

const HAS_PLACE = 1, HAS_TIME = 2, IS_CLOCK = 4, IS_MAGNETIC = 8;
const NO_HEADING = 360;
const MOST_LAT = 85.05;

/** Web Mercator: the world is the unit square, north up. */
export function mercator(latDeg, lonDeg) {
  const lat = (Math.max(-MOST_LAT, Math.min(MOST_LAT, latDeg)) * Math.PI) / 180;
  return [lonDeg / 360 + 0.5, 0.5 - Math.log(Math.tan(Math.PI / 4 + lat / 2)) / (2 * Math.PI)];
}

function projected(lat, lon, degree) {
  const x = new Float64Array(lat.length), y = new Float64Array(lat.length);
  for (let i = 0; i < lat.length; i++) [x[i], y[i]] = mercator(lat[i] / degree, lon[i] / degree);
  return { x, y };
}

const instant = (seconds) =>
  new Date(seconds * 1000).toISOString().replace("T", " ").replace(/\.?0*Z$/, "").replace(/^\+00/, "");

export async function photosOf(data, outcomes, sequences) {
  const [lat, lon, time, flags, heading, outcome, sequence, order, root, names, source, why, advice, camera] = await Promise.all([
    numbers(data.lat, Int32Array), numbers(data.lon, Int32Array), numbers(data.time), numbers(data.flags, Uint8Array),
    numbers(data.heading, Uint16Array), numbers(data.outcome, Uint8Array), numbers(data.sequence, Uint32Array),
    numbers(data.order, Uint32Array), numbers(data.root, Uint32Array), lines(data.names), words(data.source),
    words(data.why), words(data.advice), words(data.camera),
  ]);
  const n = lat.length;
  const { x, y } = projected(lat, lon, data.degree);
  const url = (i) => {
    if (i in data.urls) return data.urls[i];
    const before = data.roots[root[i]].url;
    const escaped = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
    return before && before + names[i].split("/").map((part) => encodeURIComponent(part).replace(/[!'()*]/g, escaped)).join("/");
  };
  return {
    n, x, y, outcome, sequence, order, outcomes, sequences, names, url, source, why, advice, camera,
    gaps: data.gaps,
    isPlaced: (i) => (flags[i] & HAS_PLACE) !== 0,
    isLocated: (i) => outcomes[outcome[i]].name === "located",
    latDeg: (i) => lat[i] / data.degree,
    lonDeg: (i) => ((((lon[i] / data.degree + 180) % 360) + 360) % 360) - 180,
    headingDeg: (i) => (heading[i] === NO_HEADING ? NaN : heading[i]),
    isMagnetic: (i) => (flags[i] & IS_MAGNETIC) !== 0,
    seconds: (i) => (flags[i] & HAS_TIME ? time[i] / data.second : NaN),
    when: (i) => (flags[i] & HAS_TIME ? instant(time[i] / data.second) + (flags[i] & IS_CLOCK ? " (camera's clock)" : "") : ""),
    root: (i) => (data.roots.length > 1 ? data.roots[root[i]].name : ""),
  };
}

export async function tracksOf(data) {
  const [lat, lon, time, starts, of, names] = await Promise.all([
    numbers(data.lat, Int32Array), numbers(data.lon, Int32Array), numbers(data.time), numbers(data.starts, Uint32Array),
    numbers(data.of, Uint32Array), lines(data.names),
  ]);
  return {
    n: lat.length, starts, gaps: data.gaps, ...projected(lat, lon, data.degree),
    name: (track) => names[of[track]],
    seconds: (i) => time[i] / data.second,
  };
}

export function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
