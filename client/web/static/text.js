// What other people wrote, made fit to be shown; and times.

import { inUse, t } from "./words.js";

// What turns the direction of writing, hides, or moves: controls of both sets, marks of
// direction, separators of lines, invisible fillers and tags. Joiners stay, because
// scripts are written with them.
const harmful = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc\u{e0000}-\u{e0fff}]/gu;

/**
 * A name, an address or a note in one line, without what could disguise it.
 * @param {unknown} s
 */
export function oneLine(s) {
  return String(s ?? "").replace(harmful, "").trim();
}

const controls = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/**
 * The text of a post: as written, with controls that mean nothing shown as pictures.
 * @param {unknown} s
 */
export function body(s) {
  return String(s ?? "").replace(/\r\n?/g, "\n").replace(controls, (c) => {
    const code = c.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd";
  });
}

/** An address in its two parts. @param {string} address */
export function parts(address) {
  const clean = oneLine(address);
  const at = clean.indexOf("@");
  return at < 0 ? { handle: clean, node: "" } : { handle: clean.slice(0, at), node: clean.slice(at + 1) };
}

const utf8 = new TextEncoder();

const back = new TextDecoder("utf-8", { ignoreBOM: true });

/** A text as it can be sent: without NUL, and with halves of characters replaced. @param {string} s */
export function sendable(s) {
  return back.decode(utf8.encode(s.replaceAll("\0", "")));
}

/** How many bytes of UTF-8 s is. @param {string} s */
export function bytes(s) {
  return utf8.encode(s).length;
}

/** @type {Map<string, Intl.DateTimeFormat>} formats are slow to make */
const formats = new Map();

/** @param {number} ms @param {Intl.DateTimeFormatOptions} options */
function format(ms, options) {
  const key = inUse() + JSON.stringify(options);
  let made = formats.get(key);
  if (!made) formats.set(key, made = new Intl.DateTimeFormat(inUse(), options));
  return Number.isNaN(new Date(ms).getTime()) ? "" : made.format(ms);
}

/** A time in full. @param {number} ms */
export function fullTime(ms) {
  return format(ms, { dateStyle: "full", timeStyle: "short" });
}

/** A day and a time. @param {number} ms */
export function dayTime(ms) {
  return format(ms, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * A time as people say it: "just now", "5 min. ago", "14:05" of today, or a day.
 * @param {number} ms
 */
export function saidTime(ms, now = Date.now()) {
  const ago = now - ms;
  if (ago < 60e3 && ago > -120e3) return t("time.now");
  if (ago > 0 && ago < 3600e3) {
    return new Intl.RelativeTimeFormat(inUse(), { style: "short" }).format(-Math.floor(ago / 60e3), "minute");
  }
  const then = new Date(ms);
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return format(ms, { timeStyle: "short" });
  const year = then.getFullYear() === today.getFullYear() ? undefined : "numeric";
  return format(ms, { day: "numeric", month: "short", year, hour: "numeric", minute: "2-digit" });
}

/** The date that a datetime attribute takes. @param {number} ms */
export function machineTime(ms) {
  const at = new Date(ms);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}
