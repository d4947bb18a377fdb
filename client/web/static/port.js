// The way to the worker, in which the SDK runs: calls go there and answers come back.

/** @typedef {{address: string, account: string, device: string, node: string}} State */
/** @typedef {{id: string, author: string, audience: string, seq: number, created: number, text: string, waiting?: boolean}} Post */
/** @typedef {{posts: Post[], cursor: string, notices?: string[], problems?: Failure[], hidden?: number, kept?: boolean}} Page */
/** @typedef {{address: string, state: "friend" | "incoming" | "outgoing" | "deleted", verified: boolean, keys: string, keys_changed?: boolean, undelivered?: boolean, note?: string}} Friend */
/** @typedef {{size: number, rows: string[]}} QR */
/** @typedef {{key: string, post?: Post, error?: Failure}} Settled  what came of a post that waited */

/** What the worker says where a call fails. */
export class Failure extends Error {
  /** @param {{code?: string, kind?: string, field?: string, detail?: string}} from */
  constructor(from) {
    super(from.detail || from.code || "failed");
    this.code = from.code || "internal";
    this.field = from.field || "";
    this.detail = from.detail || "";
  }
}

/** Worker and service worker are the only scripts that this page starts; no other address passes. */
const policy = (() => {
  const own = { createScriptURL: (/** @type {string} */ url) => {
    if (url === workerURL || url === serviceURL) return url;
    throw new TypeError("not a script of this page");
  } };
  const types = /** @type {any} */ (globalThis).trustedTypes;
  return types ? types.createPolicy("peerbrain", own) : own;
})();
const workerURL = new URL("worker.js", import.meta.url).href;
const serviceURL = new URL("/sw.js", location.origin).href;

/** What the worker is made of. */
export const workerFiles = ["worker.js", "wasm_exec.js", "peerbrain.wasm"].map((name) => new URL(name, import.meta.url).href);

/** The address of the service worker, as the browser wants it. */
export function serviceScript() {
  return policy.createScriptURL(serviceURL);
}

/** One worker, and the calls that are open. */
export class Port extends EventTarget {
  #worker;
  #next = 1;
  /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Failure) => void}>} */
  #open = new Map();

  constructor() {
    super();
    this.#worker = new Worker(policy.createScriptURL(workerURL), { type: "module" });
    this.#worker.addEventListener("message", (m) => this.#take(m.data));
    this.#worker.addEventListener("error", (e) => {
      e.preventDefault();
      this.#fail(e.message);
    });
  }

  /**
   * Calls a method of the worker. Rejects with a Failure.
   * @param {string} method
   * @param {object} [params]
   * @returns {Promise<any>}
   */
  call(method, params = {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, params });
    });
  }

  /**
   * Listens to what the worker tells by itself: ready, failed, news, friends, link,
   * ended, posted, unsent. Returns what ends it.
   * @param {string} event
   * @param {(data: any) => void} listener
   */
  on(event, listener) {
    const heard = (/** @type {Event} */ e) => listener(/** @type {CustomEvent} */ (e).detail);
    this.addEventListener(event, heard);
    return () => this.removeEventListener(event, heard);
  }

  /** @param {any} message */
  #take(message) {
    if (message.event) {
      this.dispatchEvent(new CustomEvent(message.event, { detail: message.data }));
      return;
    }
    const call = this.#open.get(message.id);
    if (!call) return;
    this.#open.delete(message.id);
    if (!message.error) {
      call.resolve(message.result);
      return;
    }
    call.reject(new Failure(message.error));
    if (message.error.code === "session-ended") this.dispatchEvent(new CustomEvent("ended", { detail: message.error }));
  }

  /** The worker has stopped: nothing that is open will be answered. @param {string} detail */
  #fail(detail) {
    for (const { reject } of this.#open.values()) reject(new Failure({ code: "broken", detail }));
    this.#open.clear();
    this.dispatchEvent(new CustomEvent("failed", { detail: { code: "broken", detail } }));
  }
}
