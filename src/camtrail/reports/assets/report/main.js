// The page: filters, list, map and panel speak of the same rows.
import { count, make, palette, sharp } from "./dom.js";
import { photosOf, tracksOf } from "./model.js";
import { countries } from "./world.js";
import { drawHeading, drawMark, lookOf, shapeOf } from "./marks.js";
import { PhotoMap } from "./layer.js";
import { NameList } from "./list.js";
import { Panel, embedded } from "./panel.js";

const WAIT_MS = 120; // after a key, before a million names are looked through
const MOST_CHOICES = 2000; // sequences that one list can offer

const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);

function sign(outcome, sequence = 0) {
  const canvas = make("canvas", { class: "mark", "aria-hidden": "true" });
  const colours = palette();
  drawMark(sharp(canvas, 18, 18), shapeOf(outcome), 9, 9, 5, lookOf(sequence, colours).colour, colours);
  return canvas;
}

/** A sign that stays, and is made anew when light changes to dark. */
function lasting(draw) {
  const holder = make("span", { class: "sign" }, draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => holder.replaceChildren(draw()));
  return holder;
}

function tick(label, isOn, act, ...before) {
  const box = make("input", { type: "checkbox", on: { change: () => act(box.checked) } });
  box.checked = isOn;
  return make("label", {}, box, ...before, label);
}

function lineSign(draw) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const pen = sharp(canvas, 24, 12);
  draw(pen, palette());
  return canvas;
}

async function start() {
  const data = dataOf("report");
  const photos = await photosOf(data.photos, data.outcomes, data.sequences);
  const tracks = await tracksOf(data.tracks);
  const all = Uint32Array.from({ length: photos.n }, (_, i) => i);
  const state = {
    shown: all, rides: new Uint8Array(photos.sequences.length + 1).fill(1), selected: -1, sequence: 0, query: "", off: new Set(), group: null,
    layers: { tracks: true, gaps: true, sequences: true, directions: true },
  };
  const bench = document.getElementById("bench");
  const found = make("p", { class: "found", role: "status" });
  const stage = make("div", { class: "stage" });
  bench.className = "bench";
  bench.hidden = false;
  bench.append(stage); // Leaflet measures where it is put

  const rowOf = (i) => {
    const small = embedded(i);
    if (small) {
      small.alt = "";
      small.loading = "eager";
    }
    const name = photos.names[i], cut = name.lastIndexOf("/") + 1;
    const outcome = photos.outcomes[photos.outcome[i]].name;
    const more = [outcome === "located" ? "" : outcome, photos.when(i), name.slice(0, Math.max(0, cut - 1))].filter(Boolean).join(" · ");
    return [
      small && make("span", { class: "small" }, small), sign(outcome, photos.sequence[i]),
      make("span", { class: "words" }, make("span", { class: "name" }, name.slice(cut)), make("span", { class: "more" }, more)),
    ];
  };
  const list = new NameList(rowOf, (at, isNear) => select(state.shown[at], isNear), () => select(-1));
  const panel = new Panel(photos, { step, close: () => { select(-1); list.box.focus(); } });
  const map = new PhotoMap(stage, photos, tracks, countries(dataOf("world")), state, {
    tiles: data.tiles,
    select: (rows) => {
      state.group = rows.length > 1 ? rows : null;
      select(rows[0], false, state.group);
    },
  });

  function select(i, isNear = false, group = null) {
    state.selected = i ?? -1;
    state.group = group;
    const at = placeOf(state.selected);
    list.reveal(at);
    if (state.selected < 0) {
      panel.hide();
    } else {
      const place = group ? `${group.indexOf(i) + 1} of ${group.length} here` : `${(at + 1).toLocaleString("en")} of ${state.shown.length.toLocaleString("en")}`;
      panel.show(i, place);
      map.show(i, isNear);
    }
    map.redraw();
  }

  /** Where a photo stands among those that are shown, which ascend. */
  function placeOf(i) {
    let low = 0, high = state.shown.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (state.shown[middle] < i) low = middle + 1;
      else high = middle;
    }
    return i >= 0 && state.shown[low] === i ? low : -1;
  }

  function step(way) {
    const rows = state.group ?? state.shown;
    if (!rows.length) return;
    const at = state.group ? state.group.indexOf(state.selected) : placeOf(state.selected);
    select(rows[(at + way + rows.length) % rows.length], false, state.group);
  }

  function filter() {
    const query = state.query.toLowerCase();
    const isShown = (i) =>
      !state.off.has(photos.outcome[i]) && (!state.sequence || photos.sequence[i] === state.sequence) && (!query || photos.names[i].toLowerCase().includes(query));
    state.shown = all.filter(isShown);
    state.rides.fill(0);
    for (const i of state.shown) state.rides[photos.sequence[i]] = 1;
    const at = placeOf(state.selected);
    if (at < 0 && state.selected >= 0) select(-1);
    list.set(state.shown, at);
    found.textContent = state.shown.length === photos.n ? count(photos.n, "photo", "photos") : `${state.shown.length.toLocaleString("en")} of ${count(photos.n, "photo", "photos")}`;
    map.redraw();
  }

  const chips = photos.outcomes.map(({ name, photos: n }, k) => {
    const chip = tick(` ${name} `, true, (isOn) => {
      if (isOn) state.off.delete(k);
      else state.off.add(k);
      filter();
    }, lasting(() => sign(name)));
    chip.className = "chip";
    chip.append(make("b", {}, n.toLocaleString("en")));
    return chip;
  });
  let waiting = 0;
  const search = make("input", {
    type: "search", placeholder: "Find by name", "aria-label": "Find photos by name", autocomplete: "off", spellcheck: "false",
    on: { input: () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        state.query = search.value.trim();
        filter();
      }, WAIT_MS);
    } },
  });
  const hasChoice = photos.sequences.length > 1 && photos.sequences.length <= MOST_CHOICES;
  const choice = make("select", { "aria-label": "Sequence", on: { change: () => {
    state.sequence = Number(choice.value);
    filter();
    map.fit();
  } } }, make("option", { value: "0" }, "All sequences"),
  ...(hasChoice ? photos.sequences : []).map((s, k) => make("option", { value: k + 1 }, `${k + 1}: ${s.name} (${count(s.photos, "photo", "photos")})`)));

  const layer = (key, label, draw) => tick(label, true, (isOn) => {
    state.layers[key] = isOn;
    map.redraw();
  }, lasting(() => lineSign(draw)));
  const stroke = (colour, width, dash) => (pen, colours) => {
    pen.beginPath();
    pen.moveTo(2, 6);
    pen.lineTo(22, 6);
    pen.setLineDash(dash);
    pen.lineCap = "round";
    pen.lineWidth = width;
    pen.strokeStyle = colours[colour] ?? colours.rides[0];
    pen.globalAlpha = colour === "track" ? 0.5 : 1;
    pen.stroke();
  };
  const hasHeading = all.some((i) => photos.headingDeg(i) >= 0);
  const layers = make("div", { class: "layers", role: "group", "aria-label": "Drawn on the map" },
    tracks.n ? layer("tracks", "Tracks", stroke("track", 5, [])) : null,
    photos.sequences.length ? layer("sequences", "Sequences", stroke("ride", 2.5, [])) : null,
    tracks.gaps.length + photos.gaps.length ? layer("gaps", "Gaps", stroke("bad", 2.5, [2, 6])) : null,
    hasHeading ? layer("directions", "Directions", (pen, colours) => {
      drawHeading(pen, 90, 6, 6, 16, colours.rides[0]);
      drawMark(pen, "dot", 6, 6, 4, colours.rides[0], colours);
    }) : null,
    data.tiles ? tick(`Map from ${new URL(data.tiles).host} (online)`, false, (isOn) => map.online(isOn)) : null,
    map.said);

  stage.append(panel.box, panel.said);
  bench.append(
    make("div", { class: "filters", role: "group", "aria-label": "Outcomes shown" }, ...chips),
    make("div", { class: "names" }, make("div", { class: "find" }, search, hasChoice ? choice : null, found), list.box),
    stage, layers,
  );
  document.querySelector(".unscripted").hidden = true;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => list.draw());
  filter();
  map.fit(false);
  map.draw();
  bench.dataset.ready = "yes";
}

start().catch((error) => {
  const said = document.querySelector(".unscripted");
  said.prepend(`The map cannot be shown in this browser (${error.message}). `);
  said.hidden = false;
});
