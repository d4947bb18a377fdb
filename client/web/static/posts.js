// A timeline on the page: the list, what there is to say about it, and its end.

import { el, fill } from "./el.js";
import { box } from "./errors.js";
import { List } from "./list.js";
import { article, refreshTimes } from "./post.js";
import { oneLine } from "./text.js";
import { plural, t } from "./words.js";

const minute = 60e3;

/**
 * Shows a timeline. Posts that come while somebody reads further down wait behind a button.
 * @param {import("./timeline.js").Timeline} timeline
 * @param {{label: string, none: () => Node, unseen?: (count: number) => void}} o
 */
export function postsOf(timeline, o) {
  const about = el("div.about");
  const end = el("div.end", { role: "status" });
  const list = new List({ render: article, label: o.label, sizes: timeline.sizes, near: () => timeline.further() });
  const fresh = el("button.primary.fresh", { type: "button", hidden: true, "data-test": "new-posts", on: { click: () => toTop() } });
  const root = el("div.timeline", null, fresh, about, list.root, end);
  /** @type {Set<string>} */
  let seen = new Set();
  let timer = 0;
  let open = false;
  let first = true;
  let told = 0;

  function draw() {
    if (!open) return;
    const reading = scrollY > list.root.offsetTop + 40 && !first;
    const unseen = reading ? timeline.posts.filter((post) => !seen.has(post.id) && newer(post)).length : 0;
    fresh.hidden = unseen === 0;
    if (unseen) fresh.textContent = plural("feed.new", unseen);
    if (unseen !== told) o.unseen?.(told = unseen);
    const items = reading ? timeline.posts.filter((post) => seen.has(post.id) || !newer(post)) : timeline.posts;
    for (const post of items) seen.add(post.id);
    list.set(items, timeline.more);
    first = first && items.length === 0;
    say();
  }

  /** Whether a post is newer than all that were seen. @param {import("./port.js").Post} post */
  function newer(post) {
    const top = timeline.posts.find((p) => seen.has(p.id));
    return !top || post.created >= top.created;
  }

  function say() {
    list.feed.setAttribute("aria-busy", String(timeline.loading));
    fill(about,
      ...timeline.notices.map((notice) => el("p.notice", { lang: "en" }, oneLine(notice))),
      ...timeline.problems.map((problem) => box(problem)));
    about.hidden = about.childElementCount === 0;
    if (timeline.error) fill(end, box(timeline.error, () => timeline.fresh ? again() : timeline.begin()));
    else if (timeline.loading) fill(end, el("div.bar", { "aria-hidden": "true" }), el("p.hint", null, t("feed.loading")));
    else if (timeline.fresh && timeline.posts.length === 0) fill(end, o.none());
    else if (!timeline.more) fill(end, el("p.hint", null, timeline.hidden ? plural("feed.hidden", timeline.hidden) : t("feed.end")));
    else fill(end);
  }

  function again() {
    timeline.error = null;
    timeline.further();
  }

  function toTop() {
    scrollTo({ top: 0, behavior: "instant" });
    draw();
    list.feed.querySelector("article")?.focus({ preventScroll: true });
  }

  function scrolled() {
    if (!fresh.hidden && scrollY <= list.root.offsetTop) draw();
  }

  return {
    root, list, draw,
    shown() {
      open = true;
      seen = new Set(timeline.posts.map((post) => post.id));
      timeline.addEventListener("change", draw);
      addEventListener("scroll", scrolled, { passive: true });
      timer = setInterval(() => refreshTimes(list.feed), minute);
      list.open();
      draw();
    },
    closed() {
      open = false;
      timeline.removeEventListener("change", draw);
      removeEventListener("scroll", scrolled);
      clearInterval(timer);
      list.close();
    },
  };
}
