// Elements, made without HTML: whatever stands in a text stays text.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Makes an element. tag is a name with classes behind it, "p.hint". Props are
 * attributes; true is an attribute without a value, false and null are none. Listeners
 * stand in "on", by event.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {any} the HTMLElement; any, so that callers need not name its class
 */
export function el(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const e = document.createElement(name);
  if (classes.length) e.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) e.addEventListener(event, /** @type {any} */ (listener));
    } else if (key === "value") /** @type {any} */ (e).value = value;
    else e.setAttribute(key, value === true ? "" : String(value));
  }
  e.append(...present(children));
  return e;
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function present(children) {
  return /** @type {(Node | string)[]} */ (children.filter((c) => c !== null && c !== undefined && c !== false));
}

/**
 * Replaces what is in e.
 * @param {Element} e
 * @param {...Child} children
 */
export function fill(e, ...children) {
  e.replaceChildren(...present(children));
}

const space = "http://www.w3.org/2000/svg";

/**
 * Makes an element of a drawing.
 * @param {string} name
 * @param {Record<string, string | number>} props
 * @param {...Node} children
 */
export function svg(name, props, ...children) {
  const e = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(props)) e.setAttribute(key, String(value));
  e.append(...children);
  return e;
}

let ids = 0;

/** A new id, for elements that name each other. */
export function newID() {
  return "i" + ++ids;
}
