// The view that is shown stands in the hash of the address: "#person=ada@node.example".

/**
 * What a view is. shown is called once root is in the document, closed when it goes.
 * @typedef {{name: string, title: string, root: HTMLElement, shown?: () => void, closed?: () => void, keepsFocus?: boolean}} View
 */
/** @typedef {(arg: string) => View} Maker */

/** The name and the argument of a hash. @param {string} hash */
export function parse(hash) {
  const [name, ...rest] = hash.replace(/^#/, "").split("=");
  let arg = rest.join("=");
  try {
    arg = decodeURIComponent(arg);
  } catch {
    arg = ""; // no argument of ours
  }
  return { name, arg };
}

/** The hash for a view. @param {string} name @param {string} [arg] */
export function link(name, arg) {
  return arg ? `#${name}=${encodeURIComponent(arg).replaceAll("%40", "@").replaceAll("%3A", ":")}` : `#${name}`;
}

/** Goes to a view. @param {string} name @param {string} [arg] */
export function go(name, arg) {
  const to = link(name, arg);
  if (location.hash === to) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = to;
}

/** Goes to a view in place of this one, for what should not be gone back to. @param {string} name @param {string} [arg] */
export function replace(name, arg) {
  history.replaceState(null, "", link(name, arg));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
