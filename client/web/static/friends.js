// Friends: who asks, who was asked, who is one, and what is known of their keys.

import { confirmed } from "./dialog.js";
import { el, fill } from "./el.js";
import { box } from "./errors.js";
import { tick } from "./form.js";
import { face, icon, who } from "./marks.js";
import { link } from "./router.js";
import { oneLine } from "./text.js";
import { has, t } from "./words.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./port.js").Friend} Friend */

/**
 * What is known of somebody's keys, as people say it. New keys of who is more than a
 * stranger are remembered, and nobody else was asked about them: a page reaches only the
 * person's own node.
 * @param {Friend} friend
 */
export function keysSaid(friend) {
  const known = friend.keys === "new" && friend.state !== "incoming" ? "unasked" : friend.keys;
  const keys = friend.keys_changed ? "changed" : friend.verified ? "verified" : known;
  return has(`keys.${keys}`) ? { mark: keys, words: t(`keys.${keys}`), why: t(`keys.${keys}.why`) } : null;
}

/** A badge for the keys. @param {Friend} friend */
export function badge(friend) {
  const said = keysSaid(friend);
  return said && el(`span.badge.${said.mark}`, { title: said.why, "data-test": "keys", "data-keys": friend.keys }, said.mark === "verified" && icon("check"), said.words);
}

/**
 * Does something about a friend, and says how it went.
 * @param {App} app @param {string} method @param {Record<string, unknown>} params @param {HTMLElement} trouble @param {string} said
 */
export async function act(app, method, params, trouble, said) {
  fill(trouble);
  try {
    const friend = await app.port.call(method, params);
    app.say(said);
    app.friendsChanged();
    return friend;
  } catch (error) {
    fill(trouble, box(error));
    return null;
  }
}

/**
 * A button that is at work until its promise has ended.
 * @param {string} tag @param {string} words @param {string} test @param {() => Promise<unknown>} work
 */
export function worker(tag, words, test, work) {
  let busy = false;
  const button = el(tag, { type: "button", "data-test": test, on: { click: async () => {
    if (busy) return;
    busy = true;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } finally {
      busy = false;
      button.removeAttribute("aria-busy");
    }
  } } }, words);
  return button;
}

/** Ends a friendship, if that is meant. @param {App} app @param {string} address @param {HTMLElement} trouble */
export async function remove(app, address, trouble) {
  if (!await confirmed({ title: t("remove.title", { who: address }), body: t("remove.body"), yes: t("remove.go"), danger: true })) return null;
  return act(app, "friend.remove", { address }, trouble, t("friends.removed", { who: address }));
}

/** Who somebody is, and what is known of their keys. @param {Friend} friend */
function person(friend) {
  const { address } = friend;
  return el("div.person", null, face(address), el("div", null, el("a", { href: link("person", address) }, who(address)), badge(friend)));
}

/** Somebody who asks: with the choice what they may read. @param {App} app @param {Friend} friend */
export function asking(app, friend) {
  const { address } = friend;
  const trouble = el("div.trouble");
  const history = tick({ label: t("history.label"), hint: t("history.hint"), checked: true, test: "history" });
  return el("li.card.asking", { "data-test": "incoming", "data-address": address },
    person(friend),
    el("p", null, t("friends.asks")), note(friend), history.root, trouble,
    el("div.actions", null,
      worker("button.primary", t("friends.accept"), "accept", () => act(app, "friend.accept", { address, history: history.checked }, trouble, t("friends.accepted", { who: address }))),
      worker("button", t("friends.decline"), "decline", () => act(app, "friend.decline", { address }, trouble, t("friends.declined", { who: address })))));
}

/** What is still under way to somebody, and what the SDK notes of them. @param {Friend} friend */
export function note(friend) {
  if (!friend.note && !friend.undelivered) return null;
  return el("div.notice", null, friend.undelivered && el("p", null, t("friends.undelivered")), friend.note && el("p", { lang: "en", dir: "auto" }, oneLine(friend.note)));
}

/** @param {App} _ @param {Friend} friend */
function gone(_, friend) {
  return el("li.row", { "data-test": "deleted", "data-address": friend.address }, el("div.person", null, face(friend.address), who(friend.address)));
}

/** @param {App} app @param {Friend} friend */
function asked(app, friend) {
  const { address } = friend;
  const trouble = el("div.trouble");
  return el("li.row", { "data-test": "outgoing", "data-address": address },
    person(friend),
    el("div.actions", null, worker("button", t("friends.cancel"), "cancel", () => act(app, "friend.cancel", { address }, trouble, t("friends.cancelled", { who: address })))),
    note(friend), trouble);
}

/** @param {App} app @param {Friend} friend */
function one(app, friend) {
  const { address } = friend;
  const trouble = el("div.trouble");
  return el("li.row", { "data-test": "friend", "data-address": address },
    person(friend),
    el("div.actions", null,
      !friend.verified && el("a.button", { href: link("safety", address), "data-test": "verify", "aria-label": t("friends.verify.whom", { who: address }) }, t("friends.verify")),
      worker("button.quiet", t("friends.remove"), "remove", () => remove(app, address, trouble))),
    note(friend), trouble);
}

/** @param {App} app @returns {import("./router.js").View} */
export function friends(app) {
  const lists = el("div.lists", { "aria-busy": "true" }, el("div.bar", { "aria-hidden": "true" }));
  const root = el("div.view", null,
    el("div.headline", null, el("h1", null, t("friends.title")), el("a.button.primary", { href: link("add"), "data-test": "add-friend" }, icon("add"), t("friends.add"))),
    lists);

  /** @param {string} title @param {string} why @param {Friend[]} some @param {(app: App, friend: Friend) => HTMLElement} draw */
  function section(title, why, some, draw) {
    return some.length > 0 && el("section", null, el("h2", null, title, " ", el("span.count", null, String(some.length))), why && el("p.hint", null, why), el("ul.people", null, ...some.map((f) => draw(app, f))));
  }

  async function read() {
    try {
      /** @type {Friend[]} */
      const all = (await app.port.call("friends")).friends;
      app.counted(all);
      const of = (/** @type {string} */ state) => all.filter((friend) => friend.state === state);
      fill(lists,
        section(t("friends.incoming"), "", of("incoming"), asking),
        section(t("friends.outgoing"), t("friends.outgoing.why"), of("outgoing"), asked),
        section(t("friends.yours"), "", of("friend"), one),
        section(t("friends.deleted"), t("friends.deleted.why"), of("deleted"), gone),
        all.length === 0 && el("div.empty", null, el("p", null, t("friends.none"))));
    } catch (error) {
      fill(lists, box(error, read));
    }
    lists.setAttribute("aria-busy", "false");
  }

  return {
    name: "friends", title: t("friends.title"), root,
    shown() {
      app.addEventListener("friends", read);
      read();
    },
    closed() {
      app.removeEventListener("friends", read);
    },
  };
}
