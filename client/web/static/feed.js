// The feed: what friends and oneself have written.

import { compose } from "./compose.js";
import { el, fill } from "./el.js";
import { waitingArticle } from "./post.js";
import { postsOf } from "./posts.js";
import { link } from "./router.js";
import { plural, t } from "./words.js";

/**
 * @param {import("./app.js").App} app
 * @returns {import("./router.js").View}
 */
export function feed(app) {
  const { timeline } = app;
  const waiting = el("section.outbox", { "aria-label": t("feed.outbox"), hidden: true });
  const posts = postsOf(timeline, { label: t("feed.title"), none, unseen });
  const writing = compose(app, (post) => {
    if (post.waiting) app.readWaiting();
    else timeline.news({ posts: [post], cursor: "" });
  });
  const root = el("div.view.feed", null, el("h1", null, t("feed.title")), writing.root, waiting, posts.root);

  /** @param {number} count */
  function unseen(count) {
    app.shell.setUnseen(count);
    if (count) app.say(plural("feed.new", count));
  }

  function drawWaiting() {
    waiting.hidden = app.waiting.length === 0;
    fill(waiting, ...app.waiting.map(waitingArticle));
  }

  return {
    name: "feed", title: t("feed.title"), root,
    shown() {
      app.addEventListener("waiting", drawWaiting);
      drawWaiting();
      writing.shown();
      posts.shown();
      scrollTo({ top: app.feedAt, behavior: "instant" });
      app.startFeed();
    },
    closed() {
      app.feedAt = scrollY;
      app.shell.setUnseen(0);
      app.removeEventListener("waiting", drawWaiting);
      writing.closed();
      posts.closed();
    },
  };
}

/** What stands where there are no posts. */
function none() {
  return el("div.empty", null, el("p", null, t("feed.none")), el("p", null, el("a.button", { href: link("add"), "data-test": "first-friend" }, t("friends.add"))));
}
