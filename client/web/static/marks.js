// Small drawings, all our own.

import { el, svg } from "./el.js";
import { parts } from "./text.js";

const half = "M14.8 3v6.3h2.9a2.3 2.3 0 0 1 0 4.6h-2.9v2.3h-.5a4.2 4.2 0 0 0 0 8.4h.5V29a13 13 0 0 1 0-26z";

/** The mark of PeerBrain: two halves that reach into each other. @param {number} size */
export function mark(size) {
  return svg("svg", { viewBox: "0 0 32 32", width: size, height: size, class: "mark", "aria-hidden": "true" },
    svg("path", { class: "one", d: half }), svg("path", { class: "two", d: half, transform: "rotate(180 16 16)" }));
}

const drawn = {
  feed: ["M4 6h16", "M4 12h16", "M4 18h9"],
  friends: ["M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z", "M2.5 20a6.5 6.5 0 0 1 13 0", "M16 4.3a3.5 3.5 0 0 1 0 6.4", "M18.5 14.5a6.5 6.5 0 0 1 3 5.5"],
  settings: ["M4 7h9", "M19 7h1", "M4 17h1", "M11 17h9", "M16 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z", "M8 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z"],
  lock: ["M6 11h12v9H6z", "M8.5 11V7.5a3.5 3.5 0 0 1 7 0V11"],
  check: ["M5 12.5l4.5 4.5L19 7.5"],
  clock: ["M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z", "M12 7v5.5l3.5 2"],
  back: ["M14.5 5l-7 7 7 7"],
  next: ["M9.5 5l7 7-7 7"],
  warning: ["M12 4l9 16H3z", "M12 10v4.5", "M12 17.3v.2"],
  add: ["M12 5v14", "M5 12h14"],
};

/** An icon in lines. @param {keyof typeof drawn} name */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", width: 22, height: 22, class: "icon", "aria-hidden": "true" }, ...drawn[name].map((d) => svg("path", { d })));
}

/**
 * A round with the first letter of a person, in a colour of their address.
 * @param {string} address
 */
export function face(address) {
  let hash = 7;
  for (const c of address) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) % 997;
  const e = el("span.face", { "aria-hidden": "true" }, parts(address).handle.slice(0, 1).toUpperCase());
  e.style.setProperty("--hue", String(hash * 47 % 360));
  return e;
}

/** A person by their address: never a name without the node. @param {string} address */
export function who(address) {
  const { handle, node } = parts(address);
  return el("bdi.who", null, el("b", null, handle), el("wbr"), el("span.node", null, node && "@" + node));
}

/**
 * A QR code as one path, with the light margin that cameras need.
 * @param {import("./port.js").QR} code
 * @param {string} label
 */
export function qr(code, label) {
  const size = code.rows.length, margin = 4;
  let d = "";
  code.rows.forEach((row, y) => {
    for (const run of row.matchAll(/1+/g)) d += `M${run.index + margin} ${y + margin}h${run[0].length}v1h-${run[0].length}z`;
  });
  const whole = size + 2 * margin;
  return svg("svg", { viewBox: `0 0 ${whole} ${whole}`, class: "qr", role: "img", "aria-label": label, "shape-rendering": "crispEdges", "data-test": "qr" },
    svg("rect", { width: whole, height: whole, fill: "#fff" }), svg("path", { d, fill: "#000" }));
}
