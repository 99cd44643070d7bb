// What is known of one photo, with its picture.
import { make } from "./dom.js";

const SHOWN_BY_BROWSERS = /\.(?:jpe?g|png|webp|gif|avif)$/i;

/** The thumbnail that is part of the page, as a new element; null where there is none. */
export function embedded(row) {
  const found = document.querySelector(`#picture-${row} img`);
  return found && found.cloneNode();
}

export class Panel {
  constructor(photos, { step, close }) {
    this.photos = photos;
    this.place = make("span", { class: "place" });
    this.title = make("h3", { tabindex: "-1" });
    this.frame = make("div", { class: "frame" });
    this.facts = make("dl");
    this.links = make("p", { class: "links" });
    const button = (label, sign, act) => make("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, sign);
    this.said = make("p", { class: "unseen", role: "status" }); // beside the panel, for what is hidden is not read out
    this.box = make("section", {
      class: "panel", "aria-label": "Selected photo", hidden: true,
      on: { keydown: (event) => event.key === "Escape" && close() },
    },
    make("div", { class: "bar" }, button("Previous photo", "‹", () => step(-1)), button("Next photo", "›", () => step(1)), this.place, button("Close", "×", close)),
    this.frame, this.title, this.links, this.facts);
    for (const name of ["click", "dblclick", "wheel", "pointerdown", "mousedown", "touchstart"]) this.box.addEventListener(name, (event) => event.stopPropagation());
  }

  hide() {
    this.box.hidden = true;
    this.said.textContent = "";
  }

  show(row, place) {
    const { photos } = this;
    const url = photos.url(row);
    this.place.textContent = place;
    this.title.textContent = photos.names[row];
    this.#picture(row, url);
    const isPlaced = photos.isPlaced(row), heading = photos.headingDeg(row), sequence = photos.sequence[row];
    const facts = [
      ["Time", photos.when(row) && (photos.when(row).endsWith(")") ? photos.when(row) : `${photos.when(row)} UTC`)],
      ["Place", isPlaced ? `${photos.latDeg(row).toFixed(6)}, ${photos.lonDeg(row).toFixed(6)}` : "not known"],
      ["Place from", isPlaced && photos.source(row)],
      ["Looks", heading === heading && `${heading}°${photos.isMagnetic(row) ? " magnetic" : ""}`],
      ["Camera", photos.camera(row)],
      ["Sequence", sequence && photos.sequences[sequence - 1].name],
      ["Under", photos.root(row)],
      ["Outcome", photos.outcomes[photos.outcome[row]].name],
      ["Why", photos.why(row)],
      ["What to do", photos.advice(row)],
    ];
    this.facts.replaceChildren(...facts.filter(([, said]) => said).flatMap(([name, said]) => [make("dt", {}, name), make("dd", {}, said)]));
    const links = [];
    if (url) links.push(make("a", { href: url }, "Open the photo"));
    if (isPlaced) {
      const [lat, lon] = [photos.latDeg(row).toFixed(6), photos.lonDeg(row).toFixed(6)];
      links.push(make("a", { href: `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=17/${lat}/${lon}`, rel: "noreferrer" }, "OpenStreetMap (online)"));
    }
    this.links.replaceChildren(...links);
    this.said.textContent = [`Selected: ${photos.names[row]}`, photos.outcomes[photos.outcome[row]].name, photos.why(row)].filter(Boolean).join(", ");
    this.box.hidden = false;
    this.box.scrollTop = 0;
  }

  #picture(row, url) {
    const small = embedded(row);
    const isFile = !small && url && SHOWN_BY_BROWSERS.test(url);
    this.frame.hidden = !small && !isFile;
    if (small) {
      this.frame.replaceChildren(small);
    } else if (isFile) {
      const name = this.photos.names[row].split("/").pop();
      const picture = make("img", { alt: `Photo ${name}`, decoding: "async", loading: "lazy", src: url });
      picture.addEventListener("error", () => this.frame.replaceChildren("The photo is not where it was when this page was made."));
      this.frame.replaceChildren(picture);
    }
  }
}
