// Writing a post. What is written and not sent stays, also when the page is loaded
// again: the worker keeps it, sealed, until it is sent, or until sign-out.

import { el, fill, newID } from "./el.js";
import { box } from "./errors.js";
import { face, icon } from "./marks.js";
import { bytes, sendable } from "./text.js";
import { number, t } from "./words.js";

/** The longest text of a post, in bytes of UTF-8: MaxPost of federation/wire. */
export const maxPost = 65000;

const counted = 500; // bytes, from which on the length is shown
const measured = 4000; // characters: a longer text is as high as the field can be
const pause = 400; // ms without a key before it is kept

/** @typedef {{text: string, key: string}} Draft  key names the post, so that sending it twice makes one */

/** @returns {Draft} */
function begun() {
  return { text: "", key: crypto.randomUUID() };
}

/** What is being written, by whoever is logged in. */
export class Writing extends EventTarget {
  draft = begun();
  #timer = 0;
  #port;

  /** @param {import("./port.js").Port} port */
  constructor(port) {
    super();
    this.#port = port;
    this.#read();
    addEventListener("pagehide", () => this.#keep());
  }

  /** Takes what was left behind, unless something is being written by now. */
  async #read() {
    try {
      const left = await this.#port.call("begun");
      if (!left.text || this.draft.text) return;
      this.draft = left;
      this.dispatchEvent(new Event("change"));
    } catch {
      return; // then it begins with nothing
    }
  }

  /** @param {string} text */
  write(text) {
    this.draft = { text, key: this.draft.text ? this.draft.key : crypto.randomUUID() };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#keep(), pause);
  }

  /** Forgets what was sent. */
  sent() {
    const { key } = this.draft;
    this.draft = begun();
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#put({ text: "", key });
  }

  /** Puts a text that was not sent back, behind what is being written. @param {string} text */
  giveBack(text) {
    this.draft = { text: this.draft.text ? `${this.draft.text}\n\n${text}` : text, key: crypto.randomUUID() };
    this.dispatchEvent(new Event("change"));
    this.#put(this.draft);
  }

  /** Whoever was writing has gone. */
  end() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #keep() {
    if (!this.#timer) return;
    this.end();
    this.#put(this.draft);
  }

  /** @param {Draft} draft */
  #put(draft) {
    this.#port.call("begun.keep", { ...draft, text: sendable(draft.text) }).catch(() => {
      // What cannot be kept lasts as long as the page.
    });
  }
}

/**
 * The form for a post.
 * @param {import("./app.js").App} app
 * @param {(post: import("./port.js").Post) => void} posted
 */
export function compose(app, posted) {
  const id = newID();
  const writing = /** @type {Writing} */ (app.writing);
  let sending = false;
  const count = el("span.counter", { id: `${id}-count`, "data-test": "counter" });
  const over = el("p.wrong", { id: `${id}-over`, role: "alert", hidden: true });
  const trouble = el("div.trouble");
  // Without autocomplete a browser does not keep what is typed for its own next start.
  const text = el("textarea", { id, rows: "2", dir: "auto", autocomplete: "off", value: writing.draft.text, placeholder: t("compose.placeholder"), "data-test": "compose",
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
    const { length } = writing.draft.text;
    text.style.height = length > measured ? `${most}px` : "auto";
    if (length <= measured) text.style.height = `${Math.min(text.scrollHeight + 2, most)}px`;
  }

  function look() {
    const { draft } = writing;
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
    writing.write(text.value);
    fill(trouble);
    look();
  }

  /** Shows what is being written, when that was not typed here. */
  function refresh() {
    text.value = writing.draft.text;
    look();
  }

  async function send() {
    if (sending || !look()) {
      text.focus();
      return;
    }
    sending = true;
    const sent = writing.draft;
    text.readOnly = true;
    button.setAttribute("aria-disabled", "true");
    button.textContent = t("compose.sending");
    try {
      const post = await app.port.call("post", { text: sendable(sent.text), key: sent.key });
      writing.sent();
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

  return {
    root,
    shown() {
      writing.addEventListener("change", refresh);
      look();
    },
    closed() {
      writing.removeEventListener("change", refresh);
    },
  };
}
