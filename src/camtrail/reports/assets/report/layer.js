// The map: Leaflet drags and zooms, one canvas has all that is drawn.
import { framed, icon, make, palette, sharp, count } from "./dom.js";
import { span } from "./model.js";
import { drawCountries, drawGrid, drawNames } from "./world.js";
import { apart, drawDensity, drawHeading, drawHeap, drawMark, heaps, lookOf, shapeOf } from "./marks.js";

const SINGLE = 1500; // photos in view that are drawn one by one
const HEAPED = 50000; // above that heaps would cost too much to make while the map moves
const MOST_FIXES = 20000; // of the tracks that can be pointed at
const REACH_PX = 11;
const LARGE_PX = 5, SMALL_PX = 3.2, TINY_PX = 2.4, SIGN_PX = 4.2;
const FADE_FROM = 7, FADE_TO = 9; // zooms between which outlines vanish: they are right to some ten kilometres
const INSET = { width: 132, height: 92, degrees: 44, fromZoom: 6.5, leastWidth: 560 };
const EXPLAINED = {
  dots: "",
  heaps: "A circle counts photos close together; red is the part not located.",
  density: "The stronger the colour, the more photos. Zoom in for single ones.",
};
const SMALLEST_SKIP_PX = 1.2;

const latLng = (x, y) =>
  L.latLng((Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI, (x - 0.5) * 360);

/** Draws lines through points, leaving out what is out of view or closer than a pixel. */
class Line {
  constructor(pen, view) {
    Object.assign(this, { pen, view, px: 0, py: 0, isDown: false, side: 0, isDrawn: false });
  }

  to(x, y, isNew) {
    const { pen, view } = this;
    const px = x * view.world - view.x0, py = y * view.world - view.y0;
    const side = (px < 0) | ((px > view.width) << 1) | ((py < 0) << 2) | ((py > view.height) << 3);
    const isFar = isNew || Math.abs(px - this.px) > view.world / 2;
    if (isFar || side & this.side) {
      this.isDown = false;
    } else if (this.isDown && Math.abs(px - this.px) + Math.abs(py - this.py) < SMALLEST_SKIP_PX) {
      return false;
    } else {
      if (!this.isDown) pen.moveTo(this.px, this.py);
      pen.lineTo(px, py);
      this.isDown = this.isDrawn = true;
    }
    this.px = px;
    this.py = py;
    this.side = side;
    return !side;
  }
}

export class PhotoMap {
  /** `state`: shown (rows), rides (of each sequence whether a photo of it is shown), layers, sequence, selected; `select(rows)` is called when photos are clicked. */
  constructor(stage, photos, tracks, world, state, { tiles, select }) {
    Object.assign(this, { stage, photos, tracks, world, state, select });
    this.hits = [];
    this.isMoving = false;
    const moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.pace = moves ? {} : { animate: false }; // by itself Leaflet jumps where the way is far
    const box = stage.appendChild(make("div"));
    this.map = L.map(box, {
      zoomControl: false, attributionControl: false, zoomSnap: 0.5, wheelPxPerZoomLevel: 110, minZoom: 1, maxZoom: 20,
      zoomAnimation: moves, fadeAnimation: moves, inertia: moves, doubleClickZoom: true,
    });
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Map. Arrow keys move it, plus and minus zoom. The list beside it has the same photos.");
    L.control.zoom({ position: "topleft" }).addTo(this.map);
    this.#whole();
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(this.map);
    this.credit = L.control.attribution({ prefix: false }).addTo(this.map);
    this.credit.addAttribution("Leaflet, Natural Earth");
    this.canvas = make("canvas", { class: "photos-layer leaflet-zoom-animated", "aria-hidden": "true" });
    this.map.getPanes().overlayPane.append(this.canvas);
    this.tip = stage.appendChild(make("div", { class: "tip", hidden: true, "aria-hidden": "true" }));
    this.said = make("span", { class: "said", role: "status" });
    this.inset = this.#inset();
    this.tiles = tiles ? this.#online(tiles) : null;
    this.colours = palette();
    this.redraw = framed(() => this.draw());
    this.fit(false);
    this.map.on("move zoom viewreset resize moveend zoomend", this.redraw);
    this.map.on("movestart", () => (this.isMoving = true));
    this.map.on("moveend", () => (this.isMoving = false));
    this.map.on("zoomanim", (event) => this.#follow(event));
    this.map.on("click", (event) => this.#clicked(event));
    this.map.on("mousemove", (event) => this.#pointed(event.containerPoint));
    this.map.on("mouseout movestart", () => (this.tip.hidden = true));
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.colours = palette();
      this.redraw();
    });
  }

  /** The whole of what is shown, or of all there is. */
  fit(isAnimated = true) {
    const { photos, tracks } = this;
    this.map.invalidateSize({ pan: false });
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const take = (x, y) => {
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    };
    for (const i of this.state.shown) if (photos.isPlaced(i)) take(photos.x[i], photos.y[i]);
    if (box[0] === Infinity) for (let i = 0; i < tracks.n; i++) take(tracks.x[i], tracks.y[i]);
    if (box[0] === Infinity) this.map.setView([20, 0], 1.5);
    else
      this.map.fitBounds(L.latLngBounds(latLng(box[0], box[3]), latLng(box[2], box[1])), {
        padding: [48, 48], maxZoom: 17, ...(isAnimated ? this.pace : { animate: false }),
      });
  }

  /** Brings a photo into the part of the map that no panel hides. */
  show(row, isNear = false) {
    if (!this.photos.isPlaced(row)) return this.redraw();
    const place = latLng(this.photos.x[row], this.photos.y[row]);
    if (isNear) this.map.setView(place, Math.max(this.map.getZoom(), 16), this.pace);
    const room = this.stage.querySelector(".panel:not([hidden])");
    const isOver = room && getComputedStyle(room).position === "absolute";
    this.map.panInside(place, { paddingTopLeft: [60, 40], paddingBottomRight: [isOver ? room.offsetWidth + 40 : 40, 40], ...this.pace });
    this.redraw();
  }

  draw() {
    const { map, canvas } = this;
    const { x: width, y: height } = map.getSize();
    if (!width || !height) return;
    const corner = map.getPixelBounds().min;
    const view = { x0: corner.x, y0: corner.y, width, height, world: L.CRS.EPSG3857.scale(map.getZoom()) };
    L.DomUtil.setPosition(canvas, map.containerPointToLayerPoint([0, 0]));
    this.drawn = { zoom: map.getZoom(), centre: map.getCenter() };
    const pen = sharp(canvas, width, height);
    this.hits = [];
    this.#ground(pen, view);
    if (this.state.layers.tracks) this.#tracks(pen, view);
    if (this.state.layers.sequences) this.#sequences(pen, view);
    if (this.state.layers.gaps) this.#gaps(pen, view);
    this.#photos(pen, view);
    this.#selected(pen, view);
    this.#drawInset();
  }

  #ground(pen, view) {
    if (this.tiles && this.map.hasLayer(this.tiles)) return;
    const zoom = this.map.getZoom();
    const strength = Math.max(0, Math.min(1, (FADE_TO - zoom) / (FADE_TO - FADE_FROM)));
    if (strength) drawCountries(pen, this.world, view, this.colours, strength);
    drawGrid(pen, view, this.colours);
    if (strength && zoom >= 2.5) drawNames(pen, this.world, view, this.colours, strength);
  }

  #tracks(pen, view) {
    const { tracks } = this;
    const line = new Line(pen, view);
    pen.beginPath();
    for (let track = 0; track < tracks.starts.length; track++) {
      const start = tracks.starts[track], end = tracks.starts[track + 1] ?? tracks.n;
      for (let i = start; i < end; i++) {
        const isDrawn = line.to(tracks.x[i], tracks.y[i], i === start);
        if (isDrawn && !this.isMoving && this.hits.length < MOST_FIXES) this.hits.push({ x: line.px, y: line.py, r: 0, track, fix: i });
      }
    }
    pen.lineJoin = "round";
    pen.lineWidth = 5;
    pen.strokeStyle = this.colours.track;
    pen.globalAlpha = 0.38;
    pen.stroke();
    pen.globalAlpha = 1;
  }

  #gaps(pen, view) {
    const { photos, tracks } = this;
    const draw = (of, [a, b], words) => {
      const [ax, ay, bx, by] = [of.x[a] * view.world - view.x0, of.y[a] * view.world - view.y0, of.x[b] * view.world - view.x0, of.y[b] * view.world - view.y0];
      if (Math.abs(ax - bx) > view.world / 2) return;
      if (Math.max(ax, bx) < 0 || Math.min(ax, bx) > view.width || Math.max(ay, by) < 0 || Math.min(ay, by) > view.height) return;
      pen.moveTo(ax, ay);
      pen.lineTo(bx, by);
      this.hits.push({ x: (ax + bx) / 2, y: (ay + by) / 2, r: 0, said: words });
    };
    pen.save();
    pen.beginPath();
    for (const pair of tracks.gaps) draw(tracks, pair, `Gap in the track: ${span(tracks.seconds(pair[1]) - tracks.seconds(pair[0]))} without a fix`);
    for (const pair of photos.gaps) draw(photos, pair, `Pause of ${span(photos.seconds(pair[1]) - photos.seconds(pair[0]))} between sequences`);
    pen.setLineDash([2, 6]);
    pen.lineCap = "round";
    pen.lineWidth = 2.5;
    pen.strokeStyle = this.colours.bad;
    pen.stroke();
    pen.restore();
  }

  #sequences(pen, view) {
    const { photos, state } = this;
    pen.save();
    pen.lineJoin = "round";
    pen.lineWidth = 2.5;
    pen.globalAlpha = 0.75;
    const line = new Line(pen, view);
    let sequence = 0;
    const finish = () => {
      if (!line.isDrawn) return;
      line.isDrawn = false;
      const look = lookOf(sequence, this.colours);
      pen.setLineDash(look.dash);
      pen.strokeStyle = look.colour;
      pen.stroke();
    };
    for (const i of photos.order) {
      const of = photos.sequence[i];
      if (!state.rides[of] || !photos.isPlaced(i)) continue;
      const isNew = of !== sequence;
      if (isNew) {
        finish();
        sequence = of;
        pen.beginPath();
      }
      line.to(photos.x[i], photos.y[i], isNew);
    }
    finish();
    pen.restore();
  }

  #photos(pen, view) {
    const { photos, colours, state } = this;
    const rows = [], xs = [], ys = [];
    for (const i of state.shown) {
      const px = photos.x[i] * view.world - view.x0, py = photos.y[i] * view.world - view.y0;
      if (px < 0 || py < 0 || px >= view.width || py >= view.height || !photos.isPlaced(i)) continue;
      rows.push(i);
      xs.push(px);
      ys.push(py);
    }
    const drawn = rows.length > HEAPED ? "density" : rows.length > SINGLE ? "heaps" : "dots";
    this.stage.dataset.photos = rows.length;
    if (this.stage.dataset.drawn !== drawn) {
      this.stage.dataset.drawn = drawn;
      this.said.textContent = EXPLAINED[drawn];
    }
    if (rows.length > HEAPED) {
      drawDensity(pen, xs, ys, rows.length, view.width, view.height, colours.dense);
      return;
    }
    if (rows.length > SINGLE) {
      for (const heap of heaps(rows, xs, ys, view.x0, view.y0, photos.isLocated).reverse()) {
        if (heap.rows.length === 1) this.#mark(pen, heap.rows[0], heap.x, heap.y, 5);
        else drawHeap(pen, heap, colours);
        this.hits.push({ x: heap.x, y: heap.y, r: heap.r, rows: heap.rows });
      }
      return;
    }
    const free = apart(xs, ys, 2 * LARGE_PX).length / rows.length;
    const isCrowded = free < 0.8;
    const r = free < 0.3 ? TINY_PX : isCrowded ? SMALL_PX : LARGE_PX;
    if (state.layers.directions) {
      for (const k of isCrowded ? apart(xs, ys, 30) : rows.keys()) {
        const heading = photos.headingDeg(rows[k]);
        if (heading === heading) drawHeading(pen, heading, xs[k], ys[k], 20, lookOf(photos.sequence[rows[k]], colours).colour);
      }
    }
    const drawAll = (isLocated) =>
      rows.forEach((i, k) => {
        if (photos.isLocated(i) === isLocated) this.#mark(pen, i, xs[k], ys[k], isLocated ? r : Math.max(r, SIGN_PX));
      });
    drawAll(true);
    drawAll(false);
    rows.forEach((i, k) => this.hits.push({ x: xs[k], y: ys[k], r, rows: [i] }));
  }

  #mark(pen, i, x, y, r) {
    const { photos, colours } = this;
    const shape = shapeOf(photos.outcomes[photos.outcome[i]].name);
    drawMark(pen, shape, x, y, r, lookOf(photos.sequence[i], colours).colour, colours);
  }

  #selected(pen, view) {
    const { photos, colours, state } = this;
    const i = state.selected;
    if (i < 0 || !photos.isPlaced(i)) return;
    const x = photos.x[i] * view.world - view.x0, y = photos.y[i] * view.world - view.y0;
    const heading = photos.headingDeg(i);
    if (heading === heading) drawHeading(pen, heading, x, y, 34, colours.ink);
    this.#mark(pen, i, x, y, 7);
    pen.beginPath();
    pen.arc(x, y, 12, 0, 2 * Math.PI);
    pen.lineWidth = 3;
    pen.strokeStyle = colours.ink;
    pen.stroke();
  }

  /** While Leaflet zooms, the canvas is stretched as its own pictures are. */
  #follow({ center, zoom }) {
    if (!this.drawn) return;
    const scale = this.map.getZoomScale(zoom, this.drawn.zoom);
    const half = this.map.getSize().divideBy(2);
    const corner = half.multiplyBy(-scale).add(this.map.project(this.drawn.centre, zoom)).subtract(this.map._getNewPixelOrigin(center, zoom));
    L.DomUtil.setTransform(this.canvas, corner, scale);
  }

  #near(point, reach) {
    const away = (hit) => Math.hypot(hit.x - point.x, hit.y - point.y);
    return this.hits.filter((hit) => away(hit) <= Math.max(hit.r, reach)).sort((a, b) => away(a) - away(b));
  }

  #clicked({ containerPoint, latlng }) {
    if (this.stage.dataset.drawn === "density") {
      this.map.setView(latlng, this.map.getZoom() + 2, this.pace);
      return;
    }
    const found = this.#near(containerPoint, REACH_PX).filter((hit) => hit.rows);
    if (!found.length) return;
    const heap = found.find((hit) => hit.rows.length > 1);
    if (heap) {
      const places = heap.rows.map((i) => latLng(this.photos.x[i], this.photos.y[i]));
      const bounds = L.latLngBounds(places);
      if (this.map.getZoom() < this.map.getMaxZoom() - 1 && this.map.distance(bounds.getSouthWest(), bounds.getNorthEast()) > 2) {
        this.map.fitBounds(bounds, { padding: [60, 60], ...this.pace });
        return;
      }
    }
    this.select(found.flatMap((hit) => hit.rows));
  }

  #pointed(point) {
    const found = this.#near(point, 8);
    const hit = found.find((h) => h.rows) ?? found[0];
    const box = this.map.getContainer();
    box.style.cursor = hit?.rows || this.stage.dataset.drawn === "density" ? "pointer" : "";
    this.tip.hidden = !hit;
    if (!hit) return;
    const { photos, tracks } = this;
    if (hit.said) this.tip.textContent = hit.said;
    else if (!hit.rows) this.tip.textContent = `${tracks.name(hit.track)} · ${new Date(tracks.seconds(hit.fix) * 1000).toISOString().slice(11, 19)} UTC`;
    else if (hit.rows.length > 1) this.tip.textContent = count(hit.rows.length, "photo", "photos");
    else this.tip.textContent = [photos.names[hit.rows[0]], photos.when(hit.rows[0])].filter(Boolean).join(" · ");
    const { x: width, y: height } = this.map.getSize();
    this.tip.style.left = `${Math.min(point.x + 14, Math.max(0, width - this.tip.offsetWidth - 6))}px`;
    this.tip.style.top = `${Math.min(point.y + 16, height - this.tip.offsetHeight - 6)}px`;
  }

  #whole() {
    const act = (event) => {
      event.preventDefault();
      this.fit();
    };
    const button = make("a", { href: "#map", role: "button", title: "Show all", "aria-label": "Show all", on: { click: act } }, icon("M3 7V3h4M11 3h4v4M15 11v4h-4M7 15H3v-4"));
    const Whole = L.Control.extend({ onAdd: () => make("div", { class: "leaflet-bar" }, button) });
    const control = new Whole({ position: "topleft" }).addTo(this.map);
    L.DomEvent.disableClickPropagation(control.getContainer());
  }

  #inset() {
    const Inset = L.Control.extend({ onAdd: () => make("canvas", { class: "inset", role: "img", "aria-label": "Where this is in the world" }) });
    const control = new Inset({ position: "bottomright" });
    control.addTo(this.map);
    return control.getContainer();
  }

  #drawInset() {
    const { width, height, degrees, fromZoom, leastWidth } = INSET;
    const isShown = this.map.getZoom() >= fromZoom && this.map.getSize().x >= leastWidth && !(this.tiles && this.map.hasLayer(this.tiles));
    this.inset.hidden = !isShown;
    this.inset.style.display = isShown ? "" : "none";
    if (!isShown) return;
    const world = (width * 360) / degrees;
    const middle = L.CRS.EPSG3857.latLngToPoint(this.map.getCenter(), Math.log2(world / 256));
    const view = { x0: middle.x - width / 2, y0: middle.y - height / 2, width, height, world };
    const pen = sharp(this.inset, width, height);
    drawCountries(pen, this.world, view, this.colours, 1);
    pen.beginPath();
    pen.arc(width / 2, height / 2, 4, 0, 2 * Math.PI);
    pen.fillStyle = this.colours.bad;
    pen.strokeStyle = this.colours.halo;
    pen.lineWidth = 2;
    pen.fill();
    pen.stroke();
  }

  #online(template) {
    const { host } = new URL(template);
    const credit = host.endsWith("openstreetmap.org") ? "© OpenStreetMap contributors" : `Tiles: ${host}`;
    return L.tileLayer(template, { attribution: credit, maxNativeZoom: 19, maxZoom: 20, noWrap: false });
  }

  online(isOn) {
    if (isOn) this.tiles.addTo(this.map);
    else this.tiles.remove();
    this.redraw();
  }
}
