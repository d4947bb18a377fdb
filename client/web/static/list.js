// A list of any length of which only what is seen is in the document. Heights differ:
// each is measured once it is shown, and guessed until then. What is seen stays where it
// is whatever changes above it.

import { el } from "./el.js";

const ahead = 800; // pixels above and below the window that are kept ready
const guess = 150; // height of an item until some were measured

/**
 * @template {{id: string}} T
 */
export class List {
  /** @type {T[]} */
  #items = [];
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();
  #offsets = new Float64Array(1);
  #first = 0;
  #last = 0;
  #frame = 0;
  #known = false; // whether the offsets are those of the items and heights there are
  #more = false;

  /**
   * @param {{render: (item: T) => HTMLElement, label: string, sizes: {width: number, heights: Map<string, number>}, near: () => void}} o
   *   near is called when the end comes near; sizes outlives the list
   */
  constructor(o) {
    this.o = o;
    this.above = el("div.spacer", { "aria-hidden": "true" });
    this.below = el("div.spacer", { "aria-hidden": "true" });
    this.feed = el("div.posts", { "data-test": "posts", on: { keydown: (/** @type {KeyboardEvent} */ e) => this.#keys(e) } });
    this.root = el("div.list", null, this.above, this.feed, this.below);
    this.watch = new ResizeObserver(() => this.#soon());
    this.#scrolled = () => this.#soon();
  }

  #scrolled;

  /** Starts to follow the window; call it once root is in the document. */
  open() {
    addEventListener("scroll", this.#scrolled, { passive: true });
    addEventListener("resize", this.#scrolled, { passive: true });
    this.watch.observe(this.root);
    this.#lay(false);
  }

  close() {
    removeEventListener("scroll", this.#scrolled);
    removeEventListener("resize", this.#scrolled);
    this.watch.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /**
   * Shows other items. Items with the same id are taken for the same; more says that
   * there are others behind them.
   * @param {T[]} items
   * @param {boolean} more
   */
  set(items, more) {
    this.#items = items;
    this.#more = more;
    if (items.length) { // a feed without articles is none for screen readers
      this.feed.setAttribute("role", "feed");
      this.feed.setAttribute("aria-label", this.o.label);
    } else {
      this.feed.removeAttribute("role");
      this.feed.removeAttribute("aria-label");
    }
    this.#known = false;
    if (this.root.isConnected) this.#lay(true);
  }

  #soon() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#lay(true));
  }

  /** Where each item begins, and the last ends. */
  #measure() {
    if (this.#known) return;
    this.#known = true;
    const known = [...this.#shown].reduce((sum, [id]) => sum + (this.o.sizes.heights.get(id) ?? 0), 0);
    const usual = this.#shown.size ? known / this.#shown.size || guess : guess;
    const at = this.#offsets.length === this.#items.length + 1 ? this.#offsets : new Float64Array(this.#items.length + 1);
    for (let i = 0; i < this.#items.length; i++) at[i + 1] = at[i] + (this.o.sizes.heights.get(this.#items[i].id) ?? usual);
    this.#offsets = at;
  }

  /** The item at a height. @param {number} y */
  #at(y) {
    let low = 0, high = this.#items.length - 1;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (this.#offsets[mid] <= y) low = mid;
      else high = mid - 1;
    }
    return Math.max(low, 0);
  }

  /** Lays out what is seen. @param {boolean} hold whether what is seen has to stay */
  #lay(hold) {
    const box = this.root.getBoundingClientRect();
    if (box.width !== this.o.sizes.width) {
      this.o.sizes.width = box.width;
      this.o.sizes.heights.clear();
      this.#known = false;
    }
    const anchor = hold && box.top < 0 ? this.#anchor() : null;
    this.#read();
    this.#measure();
    this.#place(-box.top);
    if (this.#read()) { // some were shown for the first time: now their heights are known
      this.#measure();
      this.#place(-box.top);
    }
    this.above.style.height = `${this.#offsets[this.#first] ?? 0}px`;
    this.below.style.height = `${(this.#offsets[this.#items.length] ?? 0) - (this.#offsets[this.#last] ?? 0)}px`;
    if (anchor) this.#keep(anchor);
    if (this.#items.length && this.#last >= this.#items.length - 3) this.o.near();
  }

  /** The first item that is seen, and where. */
  #anchor() {
    for (const [id, e] of this.#shown) {
      const at = e.getBoundingClientRect();
      if (at.bottom > 0) return { id, top: at.top };
    }
    return null;
  }

  /** Scrolls so that an item is where it was. @param {{id: string, top: number}} anchor */
  #keep(anchor) {
    const e = this.#shown.get(anchor.id);
    const by = e ? e.getBoundingClientRect().top - anchor.top : 0;
    if (Math.abs(by) >= 1) scrollBy({ top: by, behavior: "instant" });
  }

  /** Reads the heights of what is shown; true where one has changed. */
  #read() {
    let changed = false;
    for (const [id, e] of this.#shown) {
      const height = e.getBoundingClientRect().height;
      if (height && this.o.sizes.heights.get(id) !== height) {
        this.o.sizes.heights.set(id, height);
        this.#known = false;
        changed = true;
      }
    }
    return changed;
  }

  /** Puts the items around the window into the document. @param {number} top of the window in the list */
  #place(top) {
    this.#first = this.#at(top - ahead);
    this.#last = Math.min(this.#items.length, this.#at(top + innerHeight + ahead) + 1);
    const wanted = this.#items.slice(this.#first, this.#last);
    const ids = new Set(wanted.map((item) => item.id));
    for (const [id, e] of this.#shown) {
      if (ids.has(id)) continue;
      this.watch.unobserve(e);
      e.remove();
      this.#shown.delete(id);
    }
    /** @type {Map<string, HTMLElement>} */
    const shown = new Map();
    let before = this.feed.firstElementChild;
    wanted.forEach((item, i) => {
      let e = this.#shown.get(item.id);
      if (!e) {
        e = this.o.render(item);
        this.watch.observe(e);
      }
      if (e === before) before = before.nextElementSibling;
      else this.feed.insertBefore(e, before);
      e.setAttribute("aria-posinset", String(this.#first + i + 1));
      e.setAttribute("aria-setsize", String(this.#more ? -1 : this.#items.length));
      shown.set(item.id, e);
    });
    this.#shown = shown;
  }

  /** Page Down and Page Up go from item to item, as in every feed. @param {KeyboardEvent} e */
  #keys(e) {
    if (e.key !== "PageDown" && e.key !== "PageUp") return;
    const here = /** @type {HTMLElement} */ (e.target).closest("article");
    const next = e.key === "PageDown" ? here?.nextElementSibling : here?.previousElementSibling;
    if (!(next instanceof HTMLElement)) return;
    e.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
}
