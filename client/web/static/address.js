// Addresses as people type them.

import { field } from "./form.js";
import { parse } from "./router.js";
import { t } from "./words.js";

const handle = /^[a-z0-9]([a-z0-9_]*[a-z0-9])?$/;
const node = /^(localhost(:[1-9][0-9]{0,4})?|[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+)$/;

/** Whether s is written as an address is. @param {string} s */
export function isAddress(s) {
  const [name, at, ...rest] = s.split("@");
  return rest.length === 0 && at !== undefined && name.length <= 32 && handle.test(name) && node.test(at);
}

/**
 * The address that somebody means: spaces around it, capital letters and a whole
 * invitation link are taken for what they are.
 * @param {string} typed
 */
export function meant(typed) {
  const s = typed.trim();
  const hash = s.indexOf("#");
  const from = hash >= 0 ? parse(s.slice(hash)) : null;
  return (from?.name === "add" ? from.arg : s).replace(/^@/, "").toLowerCase();
}

/**
 * A field for one's own name on this node; the whole address is taken too.
 * @param {import("./app.js").App} app
 * @param {{label: string, hint: string, value?: string}} o
 */
export function ownField(app, o) {
  const f = field({ name: "username", label: o.label, hint: o.hint, value: o.value, autocomplete: "username", after: "@" + app.node, test: "address" });
  /** The whole address, or null where it is none of this node: the field says so then. */
  function address() {
    const typed = meant(f.value);
    const [name, at] = typed.split("@");
    if (at !== undefined && at !== app.node) {
      f.say(t("address.elsewhere", { node: at || "?", here: app.node }));
      return null;
    }
    if (name.length > 32 || !handle.test(name)) {
      f.say(t("address.handle"));
      return null;
    }
    return `${name}@${app.node}`;
  }
  return { ...f, address };
}
