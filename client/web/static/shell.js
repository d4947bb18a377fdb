// What stands around every view: the way to the others, and what has to be said.

import { el, fill } from "./el.js";
import { explain } from "./errors.js";
import { face, icon, mark, who } from "./marks.js";
import { link } from "./router.js";
import { oneLine } from "./text.js";
import { t } from "./words.js";

/** The frame of the page. Its parts stay in the document; views change in main. */
export class Shell {
  constructor() {
    this.main = el("main", { id: "main", tabindex: "-1" });
    this.status = el("div.hidden", { role: "status", "aria-live": "polite", "data-test": "status" });
    this.banner = el("div.banner", { hidden: true });
    this.offline = el("p.offline", { role: "status", hidden: true, "data-test": "offline" });
    this.skip = el("button.skip", { type: "button", on: { click: () => this.main.focus() } });
    this.nav = el("nav", { hidden: true });
    this.top = el("header.top");
    this.root = el("div.shell", null, this.skip, this.top, this.nav, el("div.middle", null, this.banner, this.offline, this.main), this.status);
    this.incoming = 0;
    this.unseen = 0;
    this.title = "";
    this.view = "";
    /** @type {import("./port.js").State | null} */
    this.state = null;
  }

  /** Draws the frame for who is logged in, or nobody. @param {import("./port.js").State | null} state */
  draw(state) {
    this.state = state;
    this.root.classList.toggle("inside", state !== null);
    this.skip.textContent = t("shell.skip");
    fill(this.top, el("a.brand", { href: link(state ? "feed" : "welcome") }, mark(28), el("span", null, "PeerBrain")));
    this.nav.hidden = state === null;
    this.nav.setAttribute("aria-label", t("shell.nav"));
    fill(this.nav, ...(state ? [
      this.#way("feed", t("nav.feed")), this.#way("friends", t("nav.friends"), this.incoming), this.#way("settings", t("nav.settings")),
      el("a.me", { href: link("person", state.address), "data-test": "me" }, face(state.address), who(state.address)),
    ] : []));
    this.#mark();
  }

  /** @param {"feed" | "friends" | "settings"} name @param {string} words @param {number} [count] */
  #way(name, words, count) {
    return el("a.way", { href: link(name), "data-test": `nav-${name}`, "data-way": name }, icon(name), el("span", null, words),
      count ? el("span.count", null, String(count), el("span.hidden", null, " " + t("nav.waiting"))) : null);
  }

  /** Marks the way to the view that is shown. */
  #mark() {
    for (const a of this.nav.querySelectorAll("[data-way]")) {
      const here = a.getAttribute("data-way") === part(this.view);
      if (here) a.setAttribute("aria-current", "page");
      else a.removeAttribute("aria-current");
    }
  }

  /**
   * Shows a view, and moves the focus to its heading.
   * @param {import("./router.js").View} view
   * @param {boolean} move
   */
  show(view, move) {
    this.view = view.name;
    this.title = view.title;
    view.root.setAttribute("data-view", view.name);
    fill(this.main, view.root);
    this.#mark();
    this.#retitle();
    view.shown?.();
    if (move && !view.keepsFocus) this.focus();
  }

  /** Moves the focus to the heading. */
  focus() {
    const heading = this.main.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus({ preventScroll: true });
  }

  /** How many friend requests wait. @param {number} count */
  setIncoming(count) {
    if (count === this.incoming) return;
    this.incoming = count;
    this.draw(this.state);
  }

  /** How many new posts are not seen yet. @param {number} count */
  setUnseen(count) {
    this.unseen = count;
    this.#retitle();
  }

  #retitle() {
    document.title = `${this.unseen ? `(${this.unseen}) ` : ""}${this.title} · PeerBrain`;
  }

  /** Has a sentence read out. @param {string} sentence */
  say(sentence) {
    fill(this.status, "");
    setTimeout(() => fill(this.status, sentence), 50); // the same sentence again is read again
  }

  /** Says whether the node can be reached. @param {boolean} up */
  link(up) {
    this.offline.hidden = up;
    this.offline.textContent = up ? "" : t("shell.offline");
  }

  /** Shows an error that no view has taken, until it is closed. @param {any} error */
  trouble(error) {
    const { what, next, detail, code } = explain(error);
    this.banner.hidden = false;
    fill(this.banner, el("div.notice.bad", { role: "alert", "data-test": "banner", "data-code": code },
      el("p", null, el("strong", null, what), " ", next),
      detail && el("details", null, el("summary", null, t("error.details")), el("p.detail", { lang: "en", dir: "auto" }, detail)),
      el("button", { type: "button", on: { click: () => this.quiet() } }, t("shell.close"))));
  }

  /** Shows what the SDK has found out, until it is closed. @param {string[]} notices */
  tell(notices) {
    if (notices.length === 0) return;
    this.banner.hidden = false;
    fill(this.banner, el("div.notice", { role: "status", "data-test": "notices" },
      ...notices.map((notice) => el("p", { lang: "en", dir: "auto" }, oneLine(notice))),
      el("button", { type: "button", on: { click: () => this.quiet() } }, t("shell.close"))));
  }

  quiet() {
    this.banner.hidden = true;
    fill(this.banner);
  }
}

/** The part of the page that a view belongs to. @param {string} view */
function part(view) {
  if (["friends", "add", "safety", "person"].includes(view)) return "friends";
  return view === "feed" ? "feed" : "settings";
}
