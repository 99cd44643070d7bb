// Elements made of text, never of markup.

/** An element; `on` are listeners, other properties are attributes; children are nodes or text. */
export function make(tag, { on = {}, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A drawing of lines in a square of 18, in the colour of the text. */
export function icon(path) {
  const of = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const drawing = of("svg", { class: "icon", viewBox: "0 0 18 18", width: 18, height: 18, "aria-hidden": "true" });
  drawing.append(of("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 2 }));
  return drawing;
}

/** A canvas of so many CSS pixels, sharp on fine screens, ready to be drawn on. */
export function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

/** Colours of the style sheet, which knows light and dark. */
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["sea", "land", "border", "grid", "track", "alone", "ink", "halo", "bad", "link", "quiet", "card", "dense"];
  const found = Object.fromEntries(names.map((name) => [name, of(name)]));
  found.rides = Array.from({ length: 10 }, (_, i) => of(`c${i}`));
  return found;
}

export const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

/** At most one call a frame. */
export function framed(act) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      act();
    });
  };
}
