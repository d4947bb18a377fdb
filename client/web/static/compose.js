// Writing a post. What is written and not sent stays, also when the page is loaded
// again: it lies in sessionStorage until it is sent, or until sign-out.

import { el, fill, newID } from "./el.js";
import { box } from "./errors.js";
import { face, icon } from "./marks.js";
import { bytes, sendable } from "./text.js";
import { number, t } from "./words.js";

/** The longest text of a post, in bytes of UTF-8: MaxPost of federation/wire. */
export const maxPost = 65000;

const counted = 500; // bytes, from which on the length is shown
const measured = 4000; // characters: a longer text is as high as the field can be
const draftKey = "draft";

/** @typedef {{text: string, key: string}} Draft  key names the post, so that sending it twice makes one */

/** @returns {Draft} */
function kept() {
  try {
    const draft = JSON.parse(sessionStorage.getItem(draftKey) ?? "null");
    if (typeof draft?.text === "string" && typeof draft.key === "string") return draft;
  } catch {
    return begun(); // storage is refused, or this is none of ours
  }
  return begun();
}

/** @returns {Draft} */
function begun() {
  return { text: "", key: crypto.randomUUID() };
}

/** @param {Draft} draft */
function keep(draft) {
  try {
    if (draft.text) sessionStorage.setItem(draftKey, JSON.stringify(draft));
    else sessionStorage.removeItem(draftKey);
  } catch {
    return; // storage is refused: then a draft lasts as long as the page
  }
}

/** Puts a text that was not sent back, behind what is being written. @param {string} text */
export function giveBack(text) {
  const draft = kept();
  keep({ text: draft.text ? `${draft.text}\n\n${text}` : text, key: crypto.randomUUID() });
}

/**
 * The form for a post.
 * @param {import("./app.js").App} app
 * @param {(post: import("./port.js").Post) => void} posted
 */
export function compose(app, posted) {
  const id = newID();
  let draft = kept();
  let sending = false;
  const count = el("span.counter", { id: `${id}-count`, "data-test": "counter" });
  const over = el("p.wrong", { id: `${id}-over`, role: "alert", hidden: true });
  const trouble = el("div.trouble");
  const text = el("textarea", { id, rows: "2", dir: "auto", value: draft.text, placeholder: t("compose.placeholder"), "data-test": "compose",
    "aria-describedby": `${id}-private ${id}-count`, on: { input: changed, keydown: (/** @type {KeyboardEvent} */ e) => {
      if (e.key !== "Enter" || !(e.ctrlKey || e.metaKey)) return;
      e.preventDefault();
      send();
    } } });
  const button = el("button.primary", { type: "submit", "data-test": "post-button", title: t("compose.keys") }, t("compose.post"));
  const root = el("form.compose", { novalidate: true, on: { submit: (/** @type {Event} */ e) => {
    e.preventDefault();
    send();
  } } },
    face(app.state?.address ?? ""),
    el("div", null,
      el("label.hidden", { for: id }, t("compose.label")), text, over, trouble,
      el("div.below", null, el("span.private", { id: `${id}-private` }, icon("lock"), t("compose.private")), count, button)));

  function size() {
    const most = innerHeight * 0.6;
    text.style.height = draft.text.length > measured ? `${most}px` : "auto";
    if (draft.text.length <= measured) text.style.height = `${Math.min(text.scrollHeight + 2, most)}px`;
  }

  function look() {
    const long = draft.text.length > maxPost ? draft.text.length : bytes(draft.text);
    count.textContent = long > counted ? t("compose.count", { now: number(long), most: number(maxPost) }) : "";
    const tooLong = long > maxPost;
    if (tooLong === over.hidden) {
      over.textContent = tooLong ? t("compose.long", { most: maxPost }) : "";
      over.hidden = !tooLong;
    }
    if (tooLong) text.setAttribute("aria-invalid", "true");
    else text.removeAttribute("aria-invalid");
    size();
    return !tooLong && draft.text.trim() !== "";
  }

  function changed() {
    draft = { text: text.value, key: draft.text ? draft.key : crypto.randomUUID() };
    keep(draft);
    fill(trouble);
    look();
  }

  async function send() {
    if (sending || !look()) {
      text.focus();
      return;
    }
    sending = true;
    const sent = draft;
    text.readOnly = true;
    button.setAttribute("aria-disabled", "true");
    button.textContent = t("compose.sending");
    try {
      const post = await app.port.call("post", { text: sendable(sent.text), key: sent.key });
      draft = begun();
      keep(draft);
      text.value = "";
      posted(post);
      app.say(t(post.waiting ? "compose.later" : "compose.done"));
    } catch (error) {
      fill(trouble, box(error));
    } finally {
      sending = false;
      text.readOnly = false;
      button.removeAttribute("aria-disabled");
      button.textContent = t("compose.post");
      look();
      text.focus();
    }
  }

  return { root, shown: look };
}
