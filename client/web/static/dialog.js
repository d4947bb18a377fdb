// Questions in front of the page: yes or no, and codes of the second factor.

import { el, newID } from "./el.js";
import { field } from "./form.js";
import { t } from "./words.js";

/**
 * Shows a dialog and returns what ask made of it: true or text, or null where it was left.
 * @template T
 * @param {{title: string, body: (Node | string)[], yes: string, danger?: boolean, test: string, answer: () => T | null}} o
 * @returns {Promise<T | null>}
 */
function open(o) {
  return new Promise((resolve) => {
    const id = newID();
    /** @type {T | null} */
    let given = null;
    const dialog = el("dialog", { "aria-labelledby": id, "data-test": o.test, on: { close: () => {
      dialog.remove();
      before?.focus?.();
      resolve(given);
    } } },
      el("form", { novalidate: true, on: { submit: (/** @type {Event} */ e) => {
        e.preventDefault();
        given = o.answer();
        if (given !== null) dialog.close();
      } } },
        el("h2", { id }, o.title), ...o.body,
        el("div.actions", null,
          el(o.danger ? "button.primary.danger" : "button.primary", { type: "submit", "data-test": "dialog-yes" }, o.yes),
          el("button", { type: "button", "data-test": "dialog-no", on: { click: () => dialog.close() } }, t("dialog.no")))));
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Asks yes or no.
 * @param {{title: string, body: string, yes: string, danger?: boolean}} o
 */
export async function confirmed(o) {
  return await open({ ...o, body: [el("p", null, o.body)], test: "confirm", answer: () => true }) === true;
}

/** Asks for a code of the second factor; null where there is none. @param {boolean} again */
function askCode(again) {
  const code = field({ name: "code", label: t("code.label"), hint: t("code.hint"), autocomplete: "one-time-code", test: "second-factor-code" });
  return open({
    title: t("code.title"), body: [el("p", null, t("code.why")), again ? el("p.notice.bad", { role: "alert" }, t("code.again")) : "", code.root],
    yes: t("code.go"), test: "second-factor",
    answer: () => {
      if (code.value.trim() !== "") return code.value.trim();
      code.say(t("form.missing"));
      return null;
    },
  });
}

/**
 * Calls a method, with a code of the second factor if one is wanted. Where the person
 * gives none, the error that wanted it stays.
 * @param {import("./port.js").Port} port
 * @param {string} method
 * @param {Record<string, unknown>} params
 */
export async function callWithCode(port, method, params) {
  let sent = params;
  for (;;) {
    try {
      return await port.call(method, sent);
    } catch (/** @type {any} */ error) {
      if (error.code !== "second-factor" && error.code !== "second-factor-wrong") throw error;
      const code = await askCode(error.code === "second-factor-wrong");
      if (code === null) throw error;
      sent = { ...params, code };
    }
  }
}
