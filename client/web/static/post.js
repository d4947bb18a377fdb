// One post, as an article of a list.

import { el, fill, newID } from "./el.js";
import { face, icon, who } from "./marks.js";
import { link } from "./router.js";
import { body, fullTime, machineTime, saidTime } from "./text.js";
import { t } from "./words.js";

const long = 1000; // characters, and
const tall = 14; // lines, of which a longer post shows so many until it is opened

/** @type {Set<string>} ids of posts that were opened */
const opened = new Set();

/**
 * An article with a post. Links in it are text: nothing in a post causes a request.
 * @param {import("./port.js").Post} post
 */
export function article(post) {
  const head = newID(), text = newID();
  const time = el("time", { datetime: machineTime(post.created), title: fullTime(post.created), "data-at": post.created }, saidTime(post.created));
  return el("article.post", { tabindex: "0", "aria-labelledby": head, "aria-describedby": text, "data-id": post.id, "data-test": "post" },
    el("header", { id: head }, face(post.author), el("div", null, el("a", { href: link("person", post.author) }, who(post.author)), time)),
    words(post, text));
}

/** A post that this device still has to send. @param {import("./port.js").Post} post */
export function waitingArticle(post) {
  return el("article.post.waiting", { "data-test": "waiting" },
    el("header", null, face(post.author), el("div", null, who(post.author), el("span.pending", null, icon("clock"), t("post.waiting")))),
    words(post, newID()));
}

/** @param {import("./port.js").Post} post @param {string} id */
function words(post, id) {
  const whole = body(post.text);
  const start = beginning(whole);
  const text = el("div.text", { id, dir: "auto" }, opened.has(post.id) ? whole : start);
  if (start.length === whole.length || opened.has(post.id)) return text;
  const more = el("button.quiet.more", { type: "button", on: { click: () => {
    opened.add(post.id);
    fill(text, whole);
    more.remove();
    text.closest("article")?.focus();
  } } }, t("post.all"));
  return el("div", null, text, more);
}

/** As much of a text as is shown at first. @param {string} whole */
function beginning(whole) {
  let end = 0;
  for (let lines = 0; lines < tall && end !== -1; lines++) end = whole.indexOf("\n", end + 1);
  const cut = Math.min(end === -1 ? whole.length : end, whole.length);
  if (cut <= long) return whole.slice(0, cut);
  if (whole.length <= long * 1.2) return whole;
  const space = whole.lastIndexOf(" ", long);
  const at = space > long / 2 ? space : long;
  return whole.slice(0, /[\ud800-\udbff]/.test(whole[at - 1]) ? at - 1 : at) + " …";
}

/** Brings the times that are shown up to date. @param {Element} root */
export function refreshTimes(root) {
  for (const time of root.querySelectorAll("time[data-at]")) {
    const said = saidTime(Number(time.getAttribute("data-at")));
    if (time.textContent !== said) time.textContent = said;
  }
}
