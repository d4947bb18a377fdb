// Meeting somebody: asking for friendship, inviting, and comparing keys.

import { isAddress, meant } from "./address.js";
import { sayAt } from "./account.js";
import { confirmed } from "./dialog.js";
import { el, fill } from "./el.js";
import { box } from "./errors.js";
import { field, form, tick } from "./form.js";
import { act, worker } from "./friends.js";
import { face, icon, qr, who } from "./marks.js";
import { go, link } from "./router.js";
import { t } from "./words.js";

/** @typedef {import("./app.js").App} App */

/** @param {App} app @param {string} arg whom an invitation names @returns {import("./router.js").View} */
export function add(app, arg) {
  const from = isAddress(meant(arg)) ? meant(arg) : "";
  const whom = field({ name: "friend", label: t("add.address"), hint: t("add.address.hint"), value: from, inputmode: "email", test: "friend-address" });
  const history = tick({ label: t("history.label"), hint: t("history.hint"), checked: true, test: "history" });
  const done = el("div", { role: "status" });
  const own = el("section.card.invite", null, el("h2", null, t("invite.title")), el("p", null, t("invite.why")), el("div.bar", { "aria-hidden": "true" }));
  const root = el("div.view", null, el("a.back", { href: link("friends") }, t("friends.back")), el("h1", null, t("add.title")),
    from && el("p.notice.calm.invitation", { "data-test": "invited" }, face(from), el("span", null, t("add.invited", { who: from }))),
    el("section.card", null, form({
      children: [whom.root, history.root], button: t("add.go"), working: t("add.working"), test: "send-request",
      send: async () => {
        fill(done);
        const address = meant(whom.value);
        if (!isAddress(address)) {
          whom.say(t("add.address.wrong"));
          return;
        }
        if (address === app.state?.address) {
          whom.say(t("add.self"));
          return;
        }
        const friend = await app.port.call("friend.add", { address, history: history.checked });
        app.friendsChanged();
        whom.input.value = "";
        fill(done, el("p.good", { "data-test": "asked" }, t(friend.state === "friend" ? "add.friend" : "add.asked", { who: address })),
          el("p", null, el("a", { href: link("safety", address) }, t("add.verify"))));
      },
      wrong: (error) => sayAt(error, { "not-found": whom, "bad-input": whom }),
    }), done), own);

  async function invite() {
    try {
      const { link: url, qr: code } = await app.port.call("invitation");
      const said = el("p.hint", { role: "status" });
      const shown = el("input", { readonly: true, value: url, "aria-label": t("invite.link"), "data-test": "invite-link", on: { focus: () => shown.select() } });
      const copy = worker("button", t("code.copy"), "copy-link", async () => {
        try {
          await navigator.clipboard.writeText(url);
          fill(said, t("invite.copied"));
        } catch {
          shown.focus();
          fill(said, t("code.not.copied"));
        }
      });
      own.querySelector(".bar")?.replaceWith(el("div.share", null, qr(code, t("invite.qr")), el("div", null, el("div.joined", null, shown, copy), said)));
    } catch (error) {
      own.querySelector(".bar")?.replaceWith(box(error));
    }
  }

  return { name: "add", title: t("add.title"), root, shown: invite };
}

/** @param {App} app @param {string} address @returns {import("./router.js").View} */
export function safety(app, address) {
  const title = t("safety.title");
  const body = el("div.stack", { "aria-busy": "true" }, el("div.bar", { "aria-hidden": "true" }));
  const trouble = el("div.trouble");
  const root = el("div.view.safety", null, el("a.back", { href: link("person", address) }, t("safety.back")), el("h1", null, title),
    el("div.person", null, face(address), who(address)), el("p.lead", null, t("safety.lead", { who: address })), body);

  async function read() {
    try {
      draw(await app.port.call("friend.safety", { address }));
    } catch (error) {
      fill(body, box(error, read));
    }
    body.setAttribute("aria-busy", "false");
  }

  /** @param {{groups: string[], qr: import("./port.js").QR, verified: boolean, newer?: boolean}} number */
  function draw(number) {
    fill(body,
      number.verified && el("p.notice.good", { "data-test": "is-verified" }, icon("check"), t("safety.verified", { who: address })),
      number.newer && el("p.notice", { "data-test": "newer-keys" }, t("safety.newer", { who: address })),
      el("div.card.number", null,
        el("ol.groups", { "data-test": "safety-number", "aria-label": t("safety.number") }, ...number.groups.map((group) => el("li", null, group))),
        qr(number.qr, t("safety.qr"))),
      el("h2", null, t("safety.how")),
      el("ol.steps", null, el("li", null, t("safety.step.one")), el("li", null, t("safety.step.two")), el("li", null, t("safety.step.three"))),
      trouble,
      el("div.actions", null, ...number.verified
        ? [worker("button", t("safety.unverify"), "unverify", unverify)]
        : [worker("button.primary", t("safety.same"), "mark-verified", () => verify(number.groups.join(""))), worker("button", t("safety.differs"), "differs", differs)]));
  }

  /** @param {string} number */
  async function verify(number) {
    if (await act(app, "friend.verify", { address, number }, trouble, t("safety.marked", { who: address }))) await read();
    root.querySelector("[data-test=is-verified]")?.scrollIntoView({ block: "nearest" });
  }

  async function unverify() {
    if (!await confirmed({ title: t("unverify.title", { who: address }), body: t("unverify.body"), yes: t("unverify.go") })) return;
    if (await act(app, "friend.unverify", { address }, trouble, t("unverify.done", { who: address }))) await read();
  }

  async function differs() {
    if (!await confirmed({ title: t("differs.title"), body: t("differs.body", { who: address }), yes: t("differs.go"), danger: true })) return;
    if (await act(app, "friend.remove", { address }, trouble, t("friends.removed", { who: address }))) go("friends");
  }

  return { name: "safety", title, root, shown: read };
}
