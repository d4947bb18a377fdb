// All words that people read stand in words/LANGUAGE.json. To add a language, add a
// file with the same keys, and its name here.

/** The languages there are, by the names their speakers use. */
export const languages = { en: "English", de: "Deutsch" };

const chosenKey = "language"; // in localStorage until sign-out

/** @type {Record<string, string>} */
let words = {};
let language = "en";

/** The language that was chosen, or the first of the browser's that there is. */
function wanted() {
  const all = [remembered(), ...navigator.languages].filter((l) => typeof l === "string");
  return all.map((l) => /** @type {string} */ (l).split("-")[0].toLowerCase()).find((l) => Object.hasOwn(languages, l)) ?? "en";
}

function remembered() {
  try {
    return localStorage.getItem(chosenKey);
  } catch {
    return null; // storage is refused: then it is not remembered
  }
}

/**
 * Loads the words, of a language that was chosen just now if one is given.
 * @param {string} [chosen]
 */
export async function load(chosen) {
  const next = chosen ?? wanted();
  const reply = await fetch(new URL(`words/${next}.json`, import.meta.url));
  if (!reply.ok) throw new Error(`no words: ${reply.status}`);
  words = await reply.json();
  language = next;
  document.documentElement.lang = next;
  if (!chosen) return;
  try {
    localStorage.setItem(chosenKey, chosen);
  } catch {
    return; // as above
  }
}

/** The addresses of all words, for the keeping. */
export function wordFiles() {
  return Object.keys(languages).map((code) => new URL(`words/${code}.json`, import.meta.url).href);
}

/** The language in use, for dates and numbers. */
export function inUse() {
  return language;
}

/**
 * The words under key, with values for {names} in them.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values) {
  const said = words[key];
  if (said === undefined) throw new Error(`no words for ${key}`);
  return said.replace(/\{(\w+)\}/g, (all, name) => {
    const value = values?.[name];
    return typeof value === "number" ? number(value) : value ?? all;
  });
}

/** Whether there are words under key. @param {string} key */
export function has(key) {
  return Object.hasOwn(words, key);
}

/**
 * The words under key.one or key.other, by count.
 * @param {string} key
 * @param {number} count
 * @param {Record<string, string | number>} [values]
 */
export function plural(key, count, values) {
  const form = new Intl.PluralRules(language).select(count) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { ...values, count });
}

/** @param {number} n */
export function number(n) {
  return new Intl.NumberFormat(language).format(n);
}
