// Errors as people read them: what happened, what to do next, and the details.

import { el } from "./el.js";
import { oneLine } from "./text.js";
import { has, t } from "./words.js";

/** All codes, of the worker and of this page. Each has a sentence and a next step in the words. */
export const codes = [
  "wrong-password", "wrong-code", "name-taken", "bad-input", "weak-password", "second-factor", "second-factor-wrong", "session-ended",
  "node-away", "node-busy", "clock-wrong", "keys-changed", "split-view", "node-lies", "not-found", "not-friend", "too-long",
  "storage-refused", "registration-closed", "other-number", "internal", "no-wasm", "no-storage", "broken", "insecure",
];

/**
 * The sentence, the next step and the details of an error.
 * @param {any} error
 */
export function explain(error) {
  const code = codes.includes(error?.code) && has(`error.${error.code}`) ? error.code : "internal";
  return { code, what: t(`error.${code}`), next: t(`error.${code}.next`), detail: oneLine(error?.detail || error?.message) };
}

/**
 * An error as a box that is read out at once.
 * @param {any} error
 * @param {() => void} [again] what a button "Try again" does
 */
export function box(error, again) {
  const { code, what, next, detail } = explain(error);
  return el("div.notice.bad", { role: "alert", "data-test": "error", "data-code": code },
    el("p", null, el("strong", null, what), " ", next),
    detail && el("details", null, el("summary", null, t("error.details")), el("p.detail", { lang: "en", dir: "auto" }, detail)),
    again && el("button", { type: "button", "data-test": "again", on: { click: again } }, t("error.again")));
}
