// The page: it starts the worker, knows who is logged in, and shows the view that the
// address asks for.
//
// Tests find things by these attributes, which stay as they are:
//   data-view  on the root of each view: welcome register code login recover feed friends
//              add person safety settings sessions password recovery-code second-factor
//              delete unsupported
//   data-test  on what they use in it; what a person reads is in the element with it

import { add, safety } from "./meet.js";
import { giveBack } from "./compose.js";
import { feed } from "./feed.js";
import { friends } from "./friends.js";
import { login, recover, register, welcome } from "./account.js";
import { lacking, unsupported } from "./unsupported.js";
import { parse, replace } from "./router.js";
import { person } from "./person.js";
import { Port, serviceScript, workerFiles } from "./port.js";
import { renewal } from "./code.js";
import { deletion, password, secondFactor, sessions, settings } from "./settings.js";
import { Shell } from "./shell.js";
import { Timeline } from "./timeline.js";
import { oneLine } from "./text.js";
import { load, wordFiles } from "./words.js";

const pageSize = 50;

/** The views of nobody in particular, and those of who is logged in. */
/** @type {Record<string, (app: App, arg: string) => import("./router.js").View>} */
const outside = { welcome, register, login, recover };
/** @type {Record<string, (app: App, arg: string) => import("./router.js").View>} */
const inside = {
  feed, friends, add, person, safety, settings, sessions, password, "recovery-code": renewal, "second-factor": secondFactor, delete: deletion,
};

export class App extends EventTarget {
  /** @type {import("./port.js").State | null} */
  state = null;
  shell = new Shell();
  /** The name of the node that this page speaks to. */
  node = "";
  /** @type {import("./port.js").Post[]} what has not been sent yet */
  waiting = [];
  /** Where the feed was when it was left. */
  feedAt = 0;
  /** @type {any} why the session has ended, for the log-in */
  ended = null;
  /** @type {(() => void) | null} what is done instead of going elsewhere, while something must not be left */
  held = null;
  /** Where somebody was going who has to log in first. */
  after = "";
  timeline = this.#newTimeline();
  /** @type {Port} */
  port;
  /** @type {import("./router.js").View | null} */
  #view = null;
  #following = false;
  #started = false;

  constructor() {
    super();
    this.port = new Port();
    this.port.on("failed", (error) => this.#broken(error));
    this.port.on("ready", ({ state }) => this.#begin(state));
    this.port.on("news", (page) => this.timeline.news(page));
    this.port.on("friends", () => this.friendsChanged());
    this.port.on("link", ({ up }) => this.#linked(up));
    this.port.on("posted", (settled) => this.#posted(settled));
    this.port.on("unsent", (settled) => this.#unsent(settled));
    this.port.on("ended", (error) => {
      if (this.state) this.leave(error);
    });
    addEventListener("hashchange", () => this.show());
  }

  #newTimeline() {
    return new Timeline((before) => this.port.call("feed", { limit: pageSize, before: before || undefined }));
  }

  /** The worker runs. @param {import("./port.js").State | null} state */
  async #begin(state) {
    this.node = await this.#whose(state);
    this.#started = true;
    document.querySelector("#app")?.replaceChildren(this.shell.root);
    if (state) this.enter(state, false);
    else this.#outside();
  }

  /** The name of the node of this page. @param {import("./port.js").State | null} state */
  async #whose(state) {
    try {
      return (await (await fetch("/node.json")).json()).node;
    } catch {
      return state?.node ?? location.host; // the page of a node is at its name
    }
  }

  /** @param {any} error */
  #broken(error) {
    if (this.#started) this.shell.trouble(error);
    else this.refuse(error.code, error.detail);
  }

  /** Shows that the page cannot run here, and what to do. @param {string} code @param {string} [detail] */
  refuse(code, detail) {
    this.shell.draw(null);
    document.querySelector("#app")?.replaceChildren(this.shell.root);
    this.shell.show(unsupported(code, detail), true);
  }

  #outside() {
    this.shell.draw(null);
    this.show();
  }

  /**
   * Somebody is logged in.
   * @param {import("./port.js").State} state
   * @param {boolean} [go] to the feed, or where they were going
   */
  enter(state, go = true) {
    this.state = state;
    this.ended = null;
    this.shell.draw(state);
    this.#keepShell();
    if (go) {
      const { name, arg } = parse(this.after);
      this.after = "";
      replace(Object.hasOwn(inside, name) ? name : "feed", arg);
    } else this.show();
    this.countIncoming();
    this.readWaiting();
  }

  /** Shows the first posts, and follows what comes. */
  async startFeed() {
    if (this.#following) return;
    this.#following = true;
    const { timeline } = this;
    try {
      timeline.keep(await this.port.call("feed", { limit: pageSize, kept: true }));
    } catch {
      // What the device has is a help; the node is asked in any case.
    }
    await timeline.begin();
    if (this.timeline !== timeline) return;
    this.port.call("follow").catch((error) => this.shell.trouble(error));
  }

  /** The node can be reached, or not any more. @param {boolean} up */
  #linked(up) {
    this.shell.link(up);
    if (!up) return;
    if (this.timeline.error) this.timeline.begin();
    this.dispatchEvent(new Event("friends"));
  }

  /** A post that waited was sent. @param {import("./port.js").Settled} settled */
  #posted({ post }) {
    if (post) this.timeline.news({ posts: [post], cursor: "" });
    this.readWaiting();
  }

  /** A post that waited was refused: its text is to be written again. @param {import("./port.js").Settled} settled */
  #unsent({ key, error }) {
    const text = this.waiting.find((post) => post.id === key)?.text;
    if (text) giveBack(text);
    this.shell.trouble(error);
    this.readWaiting();
    if (this.#view?.name === "feed") this.show();
  }

  /** Reads which posts have not been sent. */
  async readWaiting() {
    try {
      this.waiting = (await this.port.call("waiting")).posts;
    } catch (error) {
      this.shell.trouble(error);
    }
    this.dispatchEvent(new Event("waiting"));
  }

  /** Something about friends has changed: so has what they write for us. */
  friendsChanged() {
    this.dispatchEvent(new Event("friends"));
    this.countIncoming();
    this.timeline.again();
  }

  /** Counts who asks for friendship. */
  async countIncoming() {
    try {
      this.counted((await this.port.call("friends")).friends);
    } catch {
      return; // the view that needs them says so
    }
  }

  /** @param {import("./port.js").Friend[]} friends */
  counted(friends) {
    this.shell.setIncoming(friends.filter((friend) => friend.state === "incoming").length);
  }

  /** The session is over: nothing of it stays on this page, or on this device. @param {any} [why] */
  async leave(why) {
    this.state = null;
    this.held = null;
    this.ended = why ?? null;
    this.waiting = [];
    this.feedAt = 0;
    this.timeline = this.#newTimeline();
    this.#following = false;
    this.shell.incoming = 0;
    this.shell.quiet();
    this.shell.link(true);
    await wipe();
    this.shell.draw(null);
    replace(why ? "login" : "welcome");
  }

  /** Shows the view that the address asks for. */
  show() {
    if (!this.#started) return;
    if (this.held) {
      this.held();
      return;
    }
    const { name, arg: typed } = parse(location.hash);
    const arg = oneLine(typed); // anybody can write a link
    const views = this.state ? inside : outside;
    if (!Object.hasOwn(views, name)) {
      const later = !this.state && Object.hasOwn(inside, name);
      if (later && name !== "feed") this.after = location.hash;
      replace(this.state ? "feed" : later && this.ended ? "login" : "welcome");
      return;
    }
    const first = this.#view === null;
    this.#view?.closed?.();
    this.#view = views[name](this, arg);
    scrollTo({ top: 0, behavior: "instant" });
    this.shell.show(this.#view, !first);
  }

  /** Draws everything anew, in another language. @param {string} language */
  async speak(language) {
    try {
      await load(language);
    } catch (/** @type {any} */ error) {
      this.shell.trouble({ code: "node-away", detail: error.message });
      return;
    }
    this.shell.draw(this.state);
    this.show();
  }

  /** Has a sentence read out. @param {string} sentence */
  say(sentence) {
    this.shell.say(sentence);
  }

  /** Keeps the page's own files for when there is no network. */
  #keepShell() {
    if (!("serviceWorker" in navigator)) return;
    const keep = [...performance.getEntriesByType("resource").map((entry) => entry.name), ...workerFiles, ...wordFiles()];
    navigator.serviceWorker.register(serviceScript()).then((registration) => {
      const tell = (/** @type {ServiceWorker | null} */ worker) => worker?.postMessage({ keep }); // one of another release keeps none of these
      for (const worker of [registration.installing, registration.waiting, registration.active]) tell(worker);
      registration.addEventListener("updatefound", () => tell(registration.installing));
    }).catch(() => {
      // Without it the page needs the network to start, and is the same else.
    });
  }
}

/** Removes what this page keeps on the device. */
async function wipe() {
  try {
    sessionStorage.clear();
    localStorage.clear();
    const all = await navigator.serviceWorker?.getRegistrations() ?? [];
    await Promise.all(all.map((registration) => registration.unregister()));
    const names = await globalThis.caches?.keys() ?? [];
    await Promise.all(names.map((name) => caches.delete(name)));
  } catch {
    return; // where storage is refused there is nothing in it
  }
}

async function start() {
  await load();
  const missing = lacking();
  if (missing) {
    const shell = new Shell();
    shell.draw(null);
    document.querySelector("#app")?.replaceChildren(shell.root);
    shell.show(unsupported(missing), true);
    return;
  }
  const app = new App();
  const trouble = (/** @type {any} */ error) => app.shell.trouble(error);
  addEventListener("error", (e) => {
    if (!e.message?.startsWith("ResizeObserver loop")) trouble(e.error ?? { detail: e.message }); // only that some sizes are told later
  });
  addEventListener("unhandledrejection", (e) => trouble(e.reason));
}

start().catch(() => document.querySelector("#late")?.classList.add("now"));
