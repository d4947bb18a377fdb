// A person's page: who they are to us, what is known of their keys, and their posts.

import { isAddress } from "./address.js";
import { el, fill } from "./el.js";
import { box } from "./errors.js";
import { form, tick } from "./form.js";
import { act, asking, badge, keysSaid, note, remove, worker } from "./friends.js";
import { face, who } from "./marks.js";
import { postsOf } from "./posts.js";
import { link } from "./router.js";
import { Timeline } from "./timeline.js";
import { t } from "./words.js";

const pageSize = 50;

/** @param {import("./app.js").App} app @param {string} address @returns {import("./router.js").View} */
export function person(app, address) {
  const own = address === app.state?.address;
  const timeline = new Timeline((before) => app.port.call("read", { address, limit: pageSize, before: before || undefined }));
  const posts = postsOf(timeline, { label: t("person.posts", { who: address }), none: () => el("div.empty", null, el("p", null, t(own ? "person.none.own" : "person.none"))) });
  const standing = el("div.standing", { "aria-live": "polite" });
  const trouble = el("div.trouble");
  const root = el("div.view.someone", null, el("div.hero", null, face(address), el("h1", null, who(address))), standing, trouble, posts.root);
  posts.root.hidden = true;
  let reading = false;
  /** @type {(() => void)[]} */
  let ends = [];

  /** Posts of this person that have just come. @param {import("./port.js").Post[]} some */
  function came(some) {
    const theirs = some.filter((post) => post.author === address);
    if (reading && theirs.length) timeline.news({ posts: theirs, cursor: "" });
  }

  /** Shows the posts, where they are open to us. */
  function open() {
    if (reading) return;
    reading = true;
    posts.root.hidden = false;
    posts.shown();
    timeline.begin();
  }

  async function read() {
    if (own) {
      fill(standing, el("p.hint", null, t("person.you")));
      open();
      return;
    }
    try {
      /** @type {import("./port.js").Friend[]} */
      const all = (await app.port.call("friends")).friends;
      app.counted(all);
      stand(all.find((friend) => friend.address === address));
    } catch (error) {
      fill(standing, box(error, read));
    }
  }

  /** @param {import("./port.js").Friend | undefined} friend */
  function stand(friend) {
    if (friend?.state === "friend") open();
    if (friend?.state === "incoming") fill(standing, el("ul.people", null, asking(app, friend)));
    else if (friend?.state === "outgoing") fill(standing, el("p", { "data-test": "state" }, t("person.asked")), note(friend), keysOf(friend),
      el("div.actions", null, worker("button", t("friends.cancel"), "cancel", () => act(app, "friend.cancel", { address }, trouble, t("friends.cancelled", { who: address })))));
    else if (friend?.state === "friend") fill(standing, note(friend), keysOf(friend),
      el("div.actions", null,
        el("a.button", { href: link("safety", address), "data-test": "verify" }, t(friend.verified ? "person.number" : "safety.title")),
        worker("button.quiet", t("friends.remove"), "remove", () => remove(app, address, trouble))));
    else if (friend?.state === "deleted") fill(standing, el("p", { "data-test": "state" }, t("person.deleted")));
    else fill(standing, stranger());
  }

  /** @param {import("./port.js").Friend} friend */
  function keysOf(friend) {
    const said = keysSaid(friend);
    return said && el("p.hint.keys", null, badge(friend), " ", said.why);
  }

  function stranger() {
    if (!isAddress(address)) return el("p.notice.bad", null, t("add.address.wrong"));
    const history = tick({ label: t("history.label"), hint: t("history.hint"), checked: true, test: "history" });
    return el("section.card", null, el("p", { "data-test": "state" }, t("person.stranger")), form({
      children: [history.root], button: t("add.go"), working: t("add.working"), test: "send-request",
      send: async () => {
        await app.port.call("friend.add", { address, history: history.checked });
        app.friendsChanged();
      },
    }));
  }

  return {
    name: "person", title: address, root,
    shown() {
      app.addEventListener("friends", read);
      ends = [app.port.on("news", (page) => came(page.posts)), app.port.on("posted", ({ post }) => came([post]))];
      read();
    },
    closed() {
      app.removeEventListener("friends", read);
      for (const end of ends) end();
      if (reading) posts.closed();
    },
  };
}
