// All photos by name: only the rows in view are elements.
import { framed, make } from "./dom.js";

const ROW_PX = 52;
const MOST_PX = 8000000; // browsers cannot scroll through much more; beyond it a pixel is several rows
const SPARE = 4;

export class NameList {
  /** `render(row)` gives the content of a row; `select(at, isNear)` is called when one is chosen, `leave` when none is to be. */
  constructor(render, select, leave) {
    Object.assign(this, { render, select, leave, rows: [], at: -1 });
    this.room = make("div", { class: "room", role: "presentation" });
    this.box = make("div", {
      class: "rows", role: "listbox", tabindex: "0", "aria-label": "Photos by name",
      on: { scroll: framed(() => this.draw()), keydown: (event) => this.#key(event), click: (event) => this.#click(event), dblclick: (event) => this.#click(event, true) },
    }, this.room);
    new ResizeObserver(framed(() => this.draw())).observe(this.box);
  }

  get #tall() {
    return this.rows.length * ROW_PX;
  }

  /** How many pixels of rows one pixel of scrolling is. */
  get #pace() {
    const high = this.box.clientHeight;
    return this.#tall <= MOST_PX ? 1 : (this.#tall - high) / (MOST_PX - high);
  }

  set(rows, selected) {
    this.rows = rows;
    this.at = selected;
    this.room.style.height = `${Math.min(this.#tall, MOST_PX)}px`;
    this.box.scrollTop = 0;
    this.reveal(selected);
    this.draw();
  }

  reveal(at) {
    this.at = at;
    if (at >= 0) {
      const top = at * ROW_PX, high = this.box.clientHeight, from = this.box.scrollTop * this.#pace;
      if (top < from) this.box.scrollTop = top / this.#pace;
      else if (top + ROW_PX > from + high) this.box.scrollTop = Math.ceil((top + ROW_PX - high) / this.#pace);
    }
    this.draw();
  }

  draw() {
    const scrolled = this.box.scrollTop, high = this.box.clientHeight;
    const from = scrolled * this.#pace;
    const first = Math.max(0, Math.floor(from / ROW_PX) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((from + high) / ROW_PX) + SPARE);
    const wanted = new Set();
    for (let at = first; at < last; at++) wanted.add(at);
    if (this.at >= 0) wanted.add(this.at); // the one that has the focus must be there
    const made = [...wanted].sort((a, b) => a - b).map((at) => {
      const option = make("div", {
        class: "row", role: "option", id: `option-${at}`, "data-at": at, "aria-selected": at === this.at ? "true" : "false",
        "aria-posinset": at + 1, "aria-setsize": this.rows.length,
      }, ...this.render(this.rows[at]));
      option.style.top = `${scrolled + at * ROW_PX - from}px`;
      option.hidden = at < first - 1 || at > last;
      return option;
    });
    this.room.replaceChildren(...made);
    if (this.at >= 0) this.box.setAttribute("aria-activedescendant", `option-${this.at}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      if (this.at >= 0) this.select(this.at, true);
    } else if (event.key === "Escape") {
      this.leave();
    } else if (event.key in steps && this.rows.length) {
      const to = this.at < 0 && event.key !== "End" ? 0 : this.at + steps[event.key];
      this.select(Math.max(0, Math.min(this.rows.length - 1, to)), false);
    } else {
      return;
    }
    event.preventDefault();
  }

  #click(event, isNear = false) {
    const option = event.target.closest(".row");
    if (option) this.select(Number(option.dataset.at), isNear);
  }
}
