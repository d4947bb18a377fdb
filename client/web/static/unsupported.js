// What is shown where the page cannot run: why, and what to do.

import { el } from "./el.js";
import { explain } from "./errors.js";
import { mark } from "./marks.js";
import { t } from "./words.js";

/** What this browser lacks, as the code of an error, or "". */
export function lacking() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return "insecure";
  if (typeof WebAssembly !== "object" || typeof Worker !== "function") return "no-wasm";
  try {
    if (!globalThis.indexedDB) return "no-storage";
  } catch { // some refuse even to be asked
    return "no-storage";
  }
  return "";
}

/**
 * @param {string} code
 * @param {string} [detail]
 * @returns {import("./router.js").View}
 */
export function unsupported(code, detail = "") {
  const said = explain({ code, detail });
  return {
    name: "unsupported", title: t("unsupported.title"),
    root: el("div.view.outside", { "data-code": said.code, "data-test": "unsupported" }, mark(56), el("h1", null, t("unsupported.title")),
      el("p.lead", null, said.what), el("p", null, said.next),
      detail && el("details", null, el("summary", null, t("error.details")), el("p.detail", { lang: "en" }, said.detail)),
      el("div.actions", null, el("button.primary", { type: "button", on: { click: () => location.reload() } }, t("unsupported.again"))),
      el("p.hint", null, t("unsupported.cli"), " ", el("code", null, "peerbrain --help"))),
  };
}
