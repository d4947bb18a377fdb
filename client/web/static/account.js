// The ways in: welcome, register, log in, recover.

import { isAddress, ownField } from "./address.js";
import { showCode } from "./code.js";
import { callWithCode } from "./dialog.js";
import { el } from "./el.js";
import { box, explain } from "./errors.js";
import { field, form } from "./form.js";
import { icon, mark } from "./marks.js";
import { link, parse } from "./router.js";
import { bytes } from "./text.js";
import { inUse, languages, t } from "./words.js";

export const minPassword = 8; // bytes

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./router.js").View} View */

/** @param {App} app @returns {View} */
export function welcome(app) {
  return {
    name: "welcome", title: t("welcome.title"),
    root: el("div.view.outside.welcome", null,
      el("div.hello", null, mark(72), el("h1", null, t("welcome.title")), el("p.lead", null, t("welcome.lead"))),
      invited(app),
      el("div.ways", null,
        el("a.button.primary", { href: link("register"), "data-test": "to-register" }, t("welcome.register")),
        el("a.button", { href: link("login"), "data-test": "to-login" }, t("welcome.login"))),
      el("ul.promises", null, ...[t("welcome.promise.one"), t("welcome.promise.two"), t("welcome.promise.three")].map((promise) => el("li", null, icon("check"), el("span", null, promise)))),
      el("p", null, el("a", { href: link("recover"), "data-test": "to-recover" }, t("welcome.recover"))),
      el("p.hint", null, t("welcome.node", { node: app.node })), languageSwitch(app)),
  };
}

/** What somebody who follows an invitation is told. @param {App} app */
function invited(app) {
  const { name, arg } = parse(app.after);
  return name === "add" && isAddress(arg) && el("p.notice.calm", { "data-test": "invited" }, t("welcome.invited", { who: arg }));
}

/** The choice of a language. @param {App} app */
export function languageSwitch(app) {
  return el("div.languages", { role: "group", "aria-label": t("language.label") },
    ...Object.entries(languages).map(([code, name]) => el("button.quiet", {
      type: "button", lang: code, "aria-pressed": String(code === inUse()), "data-test": `language-${code}`, on: { click: () => app.speak(code) },
    }, name)));
}

/**
 * The frame of the forms in front of the account.
 * @param {App} app @param {string} name @param {string} title @param {string} lead @param {...(Node | null | false)} rest
 */
function outside(app, name, title, lead, ...rest) {
  const root = el("div.view.outside", null, el("h1", null, title), lead && el("p.lead", null, lead),
    ...rest, languageSwitch(app));
  return { name, title, root };
}

/**
 * A field for a new password, which says itself what is wrong with it.
 * @param {string} label
 */
export function newPassword(label) {
  const f = field({ name: "new-password", label, hint: t("password.hint"), type: "password", autocomplete: "new-password", maxlength: 1024, test: "new-password" });
  function good() {
    if (bytes(f.value) >= minPassword) return true;
    f.say(t("password.short", { least: minPassword }));
    return false;
  }
  return { ...f, get value() { return f.input.value; }, good };
}

/** Says at a field what is wrong, if error is about it. @param {any} error @param {Record<string, {say: (why: string) => void}>} at */
export function sayAt(error, at) {
  const f = at[error?.code];
  if (!f) return false;
  const { what, next } = explain(error);
  f.say(`${what} ${next}`);
  return true;
}

/** @param {App} app @returns {View} */
export function register(app) {
  const name = ownField(app, { label: t("register.name"), hint: t("register.name.hint") });
  const password = newPassword(t("register.password"));
  return outside(app, "register", t("register.title"), t("register.lead", { node: app.node }), form({
    children: [name.root, password.root], button: t("register.go"), working: t("register.working"), test: "register",
    send: async () => {
      const address = name.address();
      if (!address || !password.good()) return;
      const done = await app.port.call("register", { address, password: password.value });
      showCode(app, done.recovery_code, done.state.address, t("code.new.lead"), () => app.enter(done.state));
    },
    wrong: (error) => {
      if (error.code !== "bad-input" || error.field !== "handle") return sayAt(error, { "name-taken": name, "weak-password": password });
      name.say(t("register.name.refused"));
      return true;
    },
  }), el("p.hint", null, t("register.have"), " ", el("a", { href: link("login") }, t("welcome.login"))));
}

/** @param {App} app @returns {View} */
export function login(app) {
  const name = ownField(app, { label: t("login.name"), hint: "" });
  const password = field({ name: "password", label: t("login.password"), type: "password", autocomplete: "current-password", test: "password" });
  const device = field({ name: "device", label: t("login.device"), hint: t("login.device.hint"), value: thisDevice(), maxlength: 64, test: "device" });
  return outside(app, "login", t("login.title"), "", app.ended && box(app.ended), form({
    children: [name.root, password.root, device.root], button: t("login.go"), working: t("login.working"), test: "login",
    send: async () => {
      const address = name.address();
      if (!address) return;
      const done = await callWithCode(app.port, "login", { address, password: password.value, device: device.value.trim() });
      app.enter(done.state);
      app.shell.tell(done.notices ?? []);
    },
    wrong: (error) => sayAt(error, { "wrong-password": password }),
  }), el("p.hint", null, el("a", { href: link("recover") }, t("login.lost"))), el("p.hint", null, t("login.none"), " ", el("a", { href: link("register") }, t("welcome.register"))));
}

/** @param {App} app @returns {View} */
export function recover(app) {
  const name = ownField(app, { label: t("login.name"), hint: "" });
  const code = field({ name: "recovery-code", label: t("recover.code"), hint: t("recover.code.hint"), test: "recovery-code" });
  const password = newPassword(t("recover.password"));
  const device = field({ name: "device", label: t("login.device"), hint: t("login.device.hint"), value: thisDevice(), maxlength: 64, test: "device" });
  return outside(app, "recover", t("recover.title"), t("recover.lead"), form({
    children: [name.root, code.root, password.root, device.root], button: t("recover.go"), working: t("recover.working"), test: "recover",
    send: async () => {
      const address = name.address();
      if (!address || !password.good()) return;
      const done = await callWithCode(app.port, "recover", { address, recovery_code: code.value.trim(), password: password.value, device: device.value.trim() });
      showCode(app, done.recovery_code, done.state.address, t("code.replaced.lead"), () => {
        app.enter(done.state);
        app.shell.tell(done.notices ?? []);
      });
    },
    wrong: (error) => sayAt(error, { "wrong-code": code, "weak-password": password }),
  }), el("p.hint", null, el("a", { href: link("login") }, t("recover.back"))));
}

/** A name for this device, of what the browser says. */
function thisDevice() {
  const agent = navigator.userAgent;
  const browser = [["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrom", "Chrome"], ["Safari/", "Safari"]].find(([sign]) => agent.includes(sign))?.[1] ?? t("device.browser");
  const system = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS", "Mac"], ["Linux", "Linux"]].find(([sign]) => agent.includes(sign))?.[1];
  return system ? t("device.on", { browser, system }) : browser;
}
