// Posts in the order they were written, newest first, as pages and news of them come in.

/** @typedef {import("./port.js").Post} Post */
/** @typedef {import("./port.js").Page} Page */

export class Timeline extends EventTarget {
  /** @type {Post[]} */
  posts = [];
  /** @type {string[]} */
  notices = [];
  /** @type {import("./port.js").Failure[]} */
  problems = [];
  hidden = 0;
  cursor = "";
  /** Whether a page of the node was seen: until then all is from the device. */
  fresh = false;
  /** @type {any} */
  error = null;
  /** What a list has found out of the heights of posts. */
  sizes = { width: 0, heights: /** @type {Map<string, number>} */ (new Map()) };
  /** @type {Set<string>} */
  #kept = new Set();
  /** @type {Promise<void> | null} */
  #loading = null;
  #next;

  /** @param {(before: string) => Promise<Page>} next gets a page, the newest for "" */
  constructor(next) {
    super();
    this.#next = next;
  }

  get loading() {
    return this.#loading !== null;
  }

  /** Whether there is more to be had. */
  get more() {
    return !this.fresh || this.cursor !== "";
  }

  /** Shows what the device has until the node has answered. @param {Page} page */
  keep(page) {
    if (this.fresh || this.posts.length) return;
    for (const post of page.posts) this.#kept.add(post.id);
    this.posts = page.posts;
    this.#tell();
  }

  /** Gets the newest page. What is there stays until the pages that come have it not. */
  begin() {
    for (const post of this.posts) this.#kept.add(post.id);
    return this.#load("");
  }

  /** Gets the newest page again, if it was there: who writes for us has changed. */
  async again() {
    await this.#loading;
    if (this.fresh) await this.begin();
  }

  /** Gets the page behind the last. */
  further() {
    if (!this.fresh || this.cursor === "" || this.error) return Promise.resolve();
    return this.#load(this.cursor);
  }

  /** @param {string} before */
  #load(before) {
    if (!this.#loading) {
      this.error = null;
      this.#loading = this.#get(before);
      this.#tell();
    }
    return this.#loading;
  }

  /** @param {string} before */
  async #get(before) {
    try {
      this.#take(await this.#next(before), before);
    } catch (error) {
      this.error = error;
    }
    this.#loading = null;
    this.#tell();
  }

  /** @param {Page} page @param {string} before */
  #take(page, before) {
    const has = new Set(page.posts.map((post) => post.id));
    if (before === "" && !this.posts.some((post) => has.has(post.id))) this.posts = []; // between them there may be others
    if (this.#kept.size) this.#confirm(page, has);
    this.cursor = page.cursor;
    this.fresh = true;
    this.#said(page, before === "");
    this.#merge(page.posts);
  }

  /** Forgets what the device had of the time of a page, and the page has not. @param {Page} page @param {Set<string>} has */
  #confirm(page, has) {
    const oldest = page.cursor && page.posts.length ? page.posts[page.posts.length - 1].created : -Infinity;
    this.posts = this.posts.filter((post) => !this.#kept.has(post.id) || has.has(post.id) || post.created < oldest);
    for (const id of has) this.#kept.delete(id);
    if (!page.cursor) this.#kept.clear();
  }

  /** @param {Page} page @param {boolean} anew */
  #said(page, anew) {
    this.notices = anew ? page.notices ?? [] : [...new Set([...this.notices, ...page.notices ?? []])];
    this.problems = anew ? page.problems ?? [] : [...this.problems, ...page.problems ?? []];
    this.hidden = Math.max(page.hidden ?? 0, anew ? 0 : this.hidden);
  }

  /** Takes in posts that have just come. Returns those that were not there. @param {Page} page */
  news(page) {
    if (page.notices?.length) this.notices = page.notices;
    if (page.problems?.length) this.problems = page.problems;
    const added = this.#merge(page.posts);
    this.#tell();
    return added;
  }

  /** @param {Post[]} posts */
  #merge(posts) {
    const there = new Set(this.posts.map((post) => post.id));
    const added = posts.filter((post) => !there.has(post.id));
    if (added.length) this.posts = [...this.posts, ...added].sort((a, b) => b.created - a.created || b.seq - a.seq);
    return added;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
