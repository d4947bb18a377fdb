// The service worker keeps the page's own files, and the name of its node, so that it
// starts without a network. Answers of the API pass by it and are never kept. Each
// release has files at another address, and begins with an empty cache.

const base = "/web/HASH/";
const fixed = ["/", "/node.json"];
const cacheName = "peerbrain " + base;

self.addEventListener("install", (e) => {
  e.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(fixed.map((path) => new Request(path, { cache: "reload" })))).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (e) => {
  e.waitUntil((async () => {
    for (const name of await caches.keys()) if (name !== cacheName) await caches.delete(name);
    await self.clients.claim();
  })());
});

// The page tells which files it is made of, when it has them.
self.addEventListener("message", (e) => {
  const files = Array.isArray(e.data?.keep) ? e.data.keep.filter(ours) : [];
  e.waitUntil((async () => {
    const cache = await caches.open(cacheName);
    for (const file of files) if (!await cache.match(file)) await cache.add(file);
  })());
});

/** Whether a URL is one of the files that never change. */
function ours(url) {
  const at = new URL(url, location.origin);
  return at.origin === location.origin && at.pathname.startsWith(base) && at.search === "";
}

self.addEventListener("fetch", (e) => {
  const { request } = e;
  const at = new URL(request.url);
  if (request.method !== "GET" || at.origin !== location.origin) return;
  if (fixed.includes(at.pathname) && at.search === "") e.respondWith(newest(request, at.pathname));
  else if (ours(request.url)) e.respondWith(file(request));
});

const patience = 5000; // ms that the network is waited for

/** The page and its node: as they are if they can be reached, else as they were kept. */
async function newest(request, path) {
  try {
    return await fetch(request, { signal: AbortSignal.timeout(patience) });
  } catch (error) {
    const kept = await caches.match(path, { cacheName });
    if (kept) return kept;
    throw error;
  }
}

/** A file: as it was kept, else of the node. */
async function file(request) {
  const cache = await caches.open(cacheName);
  const kept = await cache.match(request);
  if (kept) return kept;
  const reply = await fetch(request);
  if (reply.ok) await cache.put(request, reply.clone());
  return reply;
}
