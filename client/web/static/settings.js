// The account: its password, sessions, recovery code and second factor; and its end.

import { languageSwitch, newPassword, sayAt } from "./account.js";
import { keepers } from "./code.js";
import { callWithCode, confirmed } from "./dialog.js";
import { el, fill } from "./el.js";
import { box } from "./errors.js";
import { field, form } from "./form.js";
import { worker } from "./friends.js";
import { face, icon, qr, who } from "./marks.js";
import { link } from "./router.js";
import { dayTime, machineTime, oneLine } from "./text.js";
import { plural, t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./router.js").View} View */

/** @param {App} app @returns {View} */
export function settings(app) {
  const { address, device, node } = /** @type {import("./port.js").State} */ (app.state);
  const trouble = el("div.trouble");
  const way = (/** @type {string} */ view, /** @type {string} */ title, /** @type {string} */ why, /** @type {string} */ tag = "a.way") => el("li", null,
    el(tag, { href: link(view), "data-test": `to-${view}` }, el("span", null, el("b", null, title), el("span.hint", null, why)), icon("next")));
  return {
    name: "settings", title: t("settings.title"),
    root: el("div.view.settings", null, el("h1", null, t("settings.title")),
      el("section.card.self", null, face(address), el("div", null, el("p", null, who(address)), el("p.hint", null, t("settings.here", { device: oneLine(device), node: oneLine(node) })))),
      el("section", null, el("h2", null, t("settings.safety")), el("ul.menu", null,
        way("password", t("password.title"), t("password.why")), way("recovery-code", t("renew.title"), t("renew.why")),
        way("second-factor", t("factor.title"), t("factor.why")), way("sessions", t("sessions.title"), t("sessions.why")))),
      el("section", null, el("h2", null, t("language.label")), languageSwitch(app)),
      el("section", null, el("h2", null, t("settings.leave")), trouble,
        el("div.actions", null, worker("button", t("logout.go"), "logout", () => logout(app, trouble)),
          el("a.button.quiet.danger", { href: link("delete"), "data-test": "to-delete" }, t("delete.title"))))),
  };
}

/** @param {App} app @param {HTMLElement} trouble */
async function logout(app, trouble) {
  const body = app.waiting.length ? plural("logout.waiting", app.waiting.length) : t("logout.body");
  if (!await confirmed({ title: t("logout.title"), body, yes: t("logout.go"), danger: app.waiting.length > 0 })) return;
  try {
    await app.port.call("logout");
  } catch (error) {
    fill(trouble, box(error));
    return;
  }
  await app.leave();
}

/**
 * The frame of a view below the settings.
 * @param {string} name @param {string} title @param {string} lead @param {...(Node | null | false)} rest
 */
function below(name, title, lead, ...rest) {
  return { name, title, root: el("div.view", null, el("a.back", { href: link("settings") }, t("settings.back")), el("h1", null, title), lead && el("p.lead", null, lead), ...rest) };
}

/** @param {App} app @returns {View} */
export function password(app) {
  const present = field({ name: "password", label: t("password.present"), type: "password", autocomplete: "current-password", test: "password" });
  const next = newPassword(t("password.next"));
  const done = el("p.good", { role: "status", "data-test": "password-changed" });
  return below("password", t("password.title"), t("password.lead"), el("section.card", null, form({
    children: [el("input.hidden", { type: "text", name: "username", autocomplete: "username", value: app.state?.address, readonly: true, tabindex: "-1", "aria-hidden": "true" }), present.root, next.root, done],
    button: t("password.go"), working: t("password.working"), test: "change-password",
    send: async () => {
      fill(done);
      if (!next.good()) return;
      await callWithCode(app.port, "passwd", { present: present.value, next: next.value });
      present.input.value = next.input.value = "";
      fill(done, t("password.done"));
    },
    wrong: (error) => sayAt(error, { "wrong-password": present, "weak-password": next }),
  })));
}

/** @param {App} app @returns {View} */
export function sessions(app) {
  const list = el("div.stack", { "aria-busy": "true" }, el("div.bar", { "aria-hidden": "true" }));
  const trouble = el("div.trouble");

  async function read() {
    try {
      draw(await app.port.call("sessions"));
    } catch (error) {
      fill(list, box(error, read));
    }
    list.setAttribute("aria-busy", "false");
  }

  /** @typedef {{id: string, device: string, created: number, current: boolean}} Session */
  /** @param {{sessions: Session[], more: boolean}} all */
  function draw(all) {
    fill(list, el("ul.people", null, ...all.sessions.map(one)), all.more && el("p.hint", null, t("sessions.more")),
      all.sessions.length > 1 && el("div.actions", null, worker("button.danger", t("sessions.others"), "end-others", () => end("sessions.endOthers", {}, t("sessions.others.sure")))));
  }

  /** @param {Session} s */
  function one(s) {
    const device = oneLine(s.device) || t("device.browser");
    return el("li.row", { "data-test": "session" }, el("div.person", null, el("div", null, el("b", null, el("bdi", null, device)),
      el("p.hint", null, el("time", { datetime: machineTime(s.created) }, t("sessions.since", { time: dayTime(s.created) }))))),
      s.current ? el("span.badge.confirmed", null, t("sessions.this"))
        : el("div.actions", null, worker("button", t("sessions.end"), "end-session", () => end("sessions.end", { id: s.id }, t("sessions.end.sure", { device })))));
  }

  /** @param {string} method @param {Record<string, unknown>} params @param {string} sure */
  async function end(method, params, sure) {
    if (!await confirmed({ title: t("sessions.end.title"), body: sure, yes: t("sessions.end"), danger: true })) return;
    fill(trouble);
    try {
      await callWithCode(app.port, method, params);
      app.say(t("sessions.ended"));
    } catch (error) {
      fill(trouble, box(error));
    }
    await read();
  }

  return { ...below("sessions", t("sessions.title"), t("sessions.lead"), trouble, list), shown: read };
}

/** @param {App} app @returns {View} */
export function secondFactor(app) {
  const body = el("div.stack", { "aria-busy": "true" }, el("div.bar", { "aria-hidden": "true" }));
  const trouble = el("div.trouble");

  async function read() {
    try {
      const { on, left } = await app.port.call("secondFactor");
      fill(body, ...on ? isOn(left) : isOff());
    } catch (error) {
      fill(body, box(error, read));
    }
    body.setAttribute("aria-busy", "false");
  }

  function isOff() {
    return [el("p", { "data-test": "factor-off" }, t("factor.off")), el("div.actions", null, worker("button.primary", t("factor.begin"), "factor-begin", begin))];
  }

  /** @param {number} left */
  function isOn(left) {
    return [
      el("p.notice.good", { "data-test": "factor-on" }, icon("check"), t("factor.on")), el("p", null, plural("factor.left", left)),
      el("div.actions", null, worker("button", t("factor.codes"), "factor-codes", codes), worker("button.danger", t("factor.turn.off"), "factor-turn-off", off)),
    ];
  }

  async function begin() {
    fill(trouble);
    try {
      const made = await app.port.call("secondFactor.begin");
      const first = field({ name: "code", label: t("factor.first"), hint: t("factor.first.hint"), autocomplete: "one-time-code", inputmode: "numeric", test: "first-code" });
      fill(body, el("section.card", null, el("h2", { tabindex: "-1" }, t("factor.scan")), el("p", null, t("factor.scan.why")), el("div.share", null, qr(made.qr, t("factor.qr")),
        el("details", null, el("summary", null, t("factor.by.hand")), el("p.secret.small", { "data-test": "factor-secret", translate: "no" }, made.secret)))),
        el("section.card", null, form({
          children: [first.root], button: t("factor.turn.on"), working: t("factor.working"), test: "factor-turn-on",
          send: async () => shown((await app.port.call("secondFactor.on", { first: first.value.trim() })).codes),
          wrong: (error) => error.code === "bad-input" ? sayAt({ code: "second-factor-wrong" }, { "second-factor-wrong": first }) : sayAt(error, { "second-factor-wrong": first }),
        })));
      body.querySelector("h2")?.focus();
    } catch (error) {
      fill(trouble, box(error));
    }
  }

  /** Shows backup codes. @param {string[]} made */
  function shown(made) {
    const said = el("p.hint", { role: "status" });
    const heading = el("h2", { tabindex: "-1" }, t("factor.backup"));
    fill(body, el("section.card", null, heading, el("p", null, t("factor.backup.why")),
      el("ol.codes", { "data-test": "backup-codes", translate: "no" }, ...made.map((code) => el("li", null, code))),
      keepers(app, made.join("\n"), app.state?.address ?? "", said), said,
      el("div.actions", null, worker("button.primary", t("factor.kept"), "backup-kept", read))));
    heading.focus();
  }

  async function codes() {
    await withCode("secondFactor.codes", (result) => shown(result.codes));
  }

  async function off() {
    if (!await confirmed({ title: t("factor.turn.off"), body: t("factor.off.sure"), yes: t("factor.turn.off"), danger: true })) return;
    await withCode("secondFactor.off", read);
  }

  /** @param {string} method @param {(result: any) => void} then */
  async function withCode(method, then) {
    fill(trouble);
    try {
      then(await callWithCode(app.port, method, {}));
    } catch (error) {
      fill(trouble, box(error));
    }
  }

  return { ...below("second-factor", t("factor.title"), t("factor.lead"), trouble, body), shown: read };
}

/** @param {App} app @returns {View} */
export function deletion(app) {
  const address = app.state?.address ?? "";
  const pass = field({ name: "password", label: t("login.password"), type: "password", autocomplete: "current-password", test: "password" });
  const typed = field({ name: "confirm", label: t("delete.type", { who: address }), test: "delete-confirm" });
  return below("delete", t("delete.title"), "", el("section.card.grave", null,
    el("p", null, t("delete.what")), el("ul", null, el("li", null, t("delete.one")), el("li", null, t("delete.two")), el("li", null, t("delete.three"))),
    form({
      children: [pass.root, typed.root], button: t("delete.go"), working: t("delete.working"), danger: true, test: "delete-account",
      send: async () => {
        if (typed.value.trim().toLowerCase() !== address) {
          typed.say(t("delete.differs"));
          return;
        }
        await callWithCode(app.port, "deleteAccount", { password: pass.value });
        await app.leave();
        app.say(t("delete.done"));
      },
      wrong: (error) => sayAt(error, { "wrong-password": pass }),
    })));
}
