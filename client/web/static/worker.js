// The Worker in which the SDK runs. It starts the WebAssembly and passes messages between
// that and the page: {id, method, params} one way, {id, result}, {id, error} and
// {event, data} the other.

import "./wasm_exec.js";

/** Calls that are not answered yet, and before the start those that wait. */
const open = new Set();
const waiting = [];
let running = false;

/** Tells the page that nothing can be called, or that nothing will be answered any more. */
function fail(code, detail) {
  postMessage({ event: "failed", data: { code, detail: String(detail) } });
  for (const id of open) postMessage({ id, error: { code: "internal", kind: "internal", field: "", detail: "the worker has stopped" } });
  open.clear();
  running = false;
}

/** What the SDK sends to the page. */
self.peerbrain = (message) => {
  if ("id" in message) open.delete(message.id);
  postMessage(message);
};

function pass({ id, method, params }) {
  open.add(id);
  self.call(id, String(method), JSON.stringify(params ?? {}));
}

addEventListener("message", (m) => {
  if (running) pass(m.data);
  else waiting.push(m.data);
});

/** The node of this page, and where its API is. */
async function node() {
  const answer = await fetch("/node.json", { credentials: "omit", redirect: "error" });
  if (!answer.ok) throw new Error("/node.json: status " + answer.status);
  return answer.json();
}

async function start() {
  if (typeof WebAssembly !== "object" || typeof WebAssembly.instantiateStreaming !== "function") {
    return fail("no-wasm", "this browser has no WebAssembly");
  }
  if (!self.indexedDB || !navigator.locks || !self.crypto?.subtle) {
    return fail("no-storage", "this browser keeps nothing for this page");
  }
  const go = new self.Go();
  let here, core;
  try {
    [here, core] = await Promise.all([
      node(),
      WebAssembly.instantiateStreaming(fetch(new URL("peerbrain.wasm", import.meta.url), { credentials: "omit" }), go.importObject),
    ]);
  } catch (err) {
    return fail(err instanceof WebAssembly.CompileError || err instanceof WebAssembly.LinkError ? "no-wasm" : "broken", err);
  }
  go.argv = ["peerbrain", here.node, here.api, location.origin];
  const ended = go.run(core.instance);
  running = typeof self.call === "function";
  for (const message of waiting.splice(0)) {
    if (running) pass(message);
  }
  ended.then(() => fail("broken", "it has ended"), (err) => fail("broken", err));
}

start();
