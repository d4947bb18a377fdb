// The recovery code: shown once, kept by the person, and confirmed.

import { sayAt } from "./account.js";
import { callWithCode } from "./dialog.js";
import { el, fill } from "./el.js";
import { field, form } from "./form.js";
import { link } from "./router.js";
import { t } from "./words.js";

const asked = 4; // characters that are typed to confirm it

/** @param {Event} e */
function stay(e) {
  e.preventDefault(); // the browser asks before the page, and with it the code, is gone
}

/**
 * Shows a new recovery code in place of the view, and goes on once it was confirmed.
 * @param {import("./app.js").App} app
 * @param {string} code
 * @param {string} address whose it is
 * @param {string} lead
 * @param {() => void} then
 */
export function showCode(app, code, address, lead, then) {
  const plain = code.replace(/[^0-9A-Za-z]/g, "");
  const last = field({ name: "confirm", label: t("code.confirm", { count: asked }), hint: t("code.confirm.hint"), maxlength: 64, test: "confirm-code" });
  const said = el("p.hint", { role: "status" });
  const saved = keepers(app, code, address, said);
  addEventListener("beforeunload", stay);
  app.held = () => last.say(t("code.first"));
  app.shell.show({
    name: "code", title: t("code.shown.title"),
    root: el("div.view.outside.code", null,
      el("h1", null, t("code.shown.title")), el("p.lead", null, lead),
      el("div.paper", null, el("p.whose", null, address), el("p.secret", { "data-test": "code", translate: "no" }, ...groups(code))),
      saved, said,
      form({
        children: [last.root], button: t("code.go.on"), working: "", test: "confirm",
        send: async () => {
          const typed = last.value.replace(/[^0-9A-Za-z]/g, "").toUpperCase();
          if (typed.length < asked || !plain.toUpperCase().endsWith(typed)) {
            last.say(t("code.differs"));
            return;
          }
          removeEventListener("beforeunload", stay);
          app.held = null;
          then();
        },
      })),
  }, true);
}

/** The groups of a code, so that none is broken at the end of a line. @param {string} code */
function groups(code) {
  return code.split("-").flatMap((group, i) => [i ? "-" : "", el("span", null, group)]);
}

/**
 * The buttons that copy, save and print something secret.
 * @param {import("./app.js").App} app @param {string} secret @param {string} address @param {HTMLElement} said
 */
export function keepers(app, secret, address, said) {
  async function copy() {
    try {
      await navigator.clipboard.writeText(secret);
      fill(said, t("code.copied"));
    } catch {
      fill(said, t("code.not.copied"));
    }
  }
  function save() {
    const url = URL.createObjectURL(new Blob([`PeerBrain ${address}\n\n${secret}\n`], { type: "text/plain" }));
    const a = el("a", { href: url, download: `peerbrain-${address.replace(/[^a-z0-9]+/g, "-")}.txt` });
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 10e3);
    fill(said, t("code.saved"));
  }
  return el("div.actions.keepers", null,
    el("button", { type: "button", "data-test": "copy", on: { click: copy } }, t("code.copy")),
    el("button", { type: "button", "data-test": "save", on: { click: save } }, t("code.save")),
    el("button", { type: "button", "data-test": "print", on: { click: () => print() } }, t("code.print")));
}

/**
 * Checking the recovery code, and replacing it.
 * @param {import("./app.js").App} app
 * @returns {import("./router.js").View}
 */
export function renewal(app) {
  const check = field({ name: "recovery-code", label: t("renew.code"), hint: t("recover.code.hint"), test: "recovery-code" });
  const old = field({ name: "recovery-code", label: t("renew.old"), hint: t("recover.code.hint"), test: "old-code" });
  const said = el("p.good", { role: "status", "data-test": "code-right" });
  const address = app.state?.address ?? "";
  return {
    name: "recovery-code", title: t("renew.title"),
    root: el("div.view", null, el("a.back", { href: link("settings") }, t("settings.back")), el("h1", null, t("renew.title")), el("p.lead", null, t("renew.lead")),
      el("section.card", null, el("h2", null, t("renew.check")), el("p", null, t("renew.check.why")), form({
        children: [check.root, said], button: t("renew.check.go"), working: t("renew.checking"), test: "check-code",
        send: async () => {
          fill(said);
          await app.port.call("checkCode", { recovery_code: check.value.trim() });
          fill(said, t("renew.right"));
          check.input.value = "";
        },
        wrong: (error) => sayAt(error, { "wrong-code": check, "bad-input": check }),
      })),
      el("section.card", null, el("h2", null, t("renew.new")), el("p", null, t("renew.new.why")), form({
        children: [old.root], button: t("renew.new.go"), working: t("renew.working"), test: "renew-code",
        send: async () => {
          const { recovery_code } = await callWithCode(app.port, "renewCode", { recovery_code: old.value.trim() });
          showCode(app, recovery_code, address, t("code.replaced.lead"), () => app.show());
        },
        wrong: (error) => sayAt(error, { "wrong-code": old, "bad-input": old }),
      }))),
  };
}
