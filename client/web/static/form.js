// Forms: fields with a label, a hint and an error; and what happens when one is sent.

import { el, fill, newID } from "./el.js";
import { box } from "./errors.js";
import { t } from "./words.js";

/**
 * A field with its label.
 * @param {{name: string, label: string, hint?: string, type?: string, value?: string, autocomplete?: string, inputmode?: string,
 *   required?: boolean, maxlength?: number, spellcheck?: boolean, placeholder?: string, test?: string, after?: string}} o
 */
export function field(o) {
  const id = newID();
  const hint = o.hint ? el("p.hint", { id: `${id}-hint` }, o.hint) : null;
  const wrong = el("p.wrong", { id: `${id}-wrong`, hidden: true });
  const input = el("input", {
    id, name: o.name, type: o.type ?? "text", value: o.value ?? "", autocomplete: o.autocomplete ?? "off", inputmode: o.inputmode,
    required: o.required !== false, maxlength: o.maxlength, placeholder: o.placeholder, spellcheck: "false", autocapitalize: "none",
    "data-test": o.test ?? o.name, "aria-describedby": hint ? `${id}-hint` : null, on: { input: () => right() },
  });
  /** Takes the error away. */
  function right() {
    wrong.hidden = true;
    input.removeAttribute("aria-invalid");
    describe();
  }
  function describe() {
    const by = [hint?.id, wrong.hidden ? "" : wrong.id].filter(Boolean).join(" ");
    if (by) input.setAttribute("aria-describedby", by);
    else input.removeAttribute("aria-describedby");
  }
  /** Says what is wrong with it. @param {string} why */
  function say(why) {
    wrong.textContent = why;
    wrong.hidden = false;
    input.setAttribute("aria-invalid", "true");
    describe();
    input.focus();
  }
  const box = o.after ? el("div.joined", null, input, el("span.after", { "aria-hidden": "true" }, o.after)) : o.type === "password" ? el("div.joined", null, input, eye(input)) : input;
  const root = el("div.field", null, el("label", { for: id }, o.label), box, hint, wrong);
  return { root, input, say, right, get value() { return input.value; } };
}

/** A button that shows what is typed into a field for a password. @param {HTMLInputElement} input */
function eye(input) {
  const button = el("button.quiet.eye", { type: "button", "aria-pressed": "false", "aria-controls": input.id, on: { click: () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    button.textContent = shown ? t("form.hide") : t("form.show");
  } } }, t("form.show"));
  return button;
}

/**
 * A box to tick.
 * @param {{label: string, hint?: string, checked?: boolean, test?: string}} o
 */
export function tick(o) {
  const id = newID();
  const input = el("input", { id, type: "checkbox", checked: o.checked, "data-test": o.test, "aria-describedby": o.hint ? `${id}-hint` : null });
  const root = el("div.tick", null, input, el("div", null, el("label", { for: id }, o.label), o.hint && el("p.hint", { id: `${id}-hint` }, o.hint)));
  return { root, input, get checked() { return input.checked; } };
}

/**
 * A form whose button works until send has ended, and where errors are shown.
 * @param {{children: (Node | null | false)[], button: string, working: string, send: () => Promise<void>, wrong?: (error: any) => boolean,
 *   test?: string, danger?: boolean, beside?: Node}} o  wrong returns true where it has shown the error itself
 */
export function form(o) {
  const trouble = el("div.trouble");
  const button = el("button.primary", { type: "submit", "data-test": o.test ?? "submit" }, o.button);
  if (o.danger) button.classList.add("danger");
  const progress = el("div.progress", { role: "status", hidden: true });
  let busy = false;
  const root = el("form", { novalidate: true, on: { submit: async (/** @type {Event} */ e) => {
    e.preventDefault();
    if (busy) return;
    forgive(root);
    if (!filled(root)) return;
    work(true);
    fill(trouble);
    try {
      await o.send();
    } catch (error) {
      if (!o.wrong?.(error)) fill(trouble, box(error));
    } finally {
      work(false);
    }
  } } }, ...o.children, trouble, el("div.actions", null, button, o.beside), progress);

  /** @param {boolean} now */
  function work(now) {
    busy = now;
    root.setAttribute("aria-busy", String(now));
    if (now) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    progress.hidden = !now;
    fill(progress, ...(now ? [el("div.bar", { "aria-hidden": "true" }), el("p", null, o.working)] : []));
  }
  return root;
}

/** Takes away what was said of the fields before. @param {HTMLFormElement} root */
function forgive(root) {
  for (const wrong of root.querySelectorAll(".wrong")) /** @type {HTMLElement} */ (wrong).hidden = true;
  for (const input of root.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Whether all that has to be filled is; focus goes to the first that is not. @param {HTMLFormElement} root */
function filled(root) {
  for (const input of root.querySelectorAll("input[required]")) {
    const one = /** @type {HTMLInputElement} */ (input);
    if (one.value.trim() !== "") continue;
    const wrong = one.closest(".field")?.querySelector(".wrong");
    if (wrong instanceof HTMLElement) {
      wrong.textContent = t("form.missing");
      wrong.hidden = false;
      one.setAttribute("aria-invalid", "true");
      one.setAttribute("aria-describedby", [`${one.id}-hint`, wrong.id].filter((id) => document.getElementById(id)).join(" "));
    }
    one.focus();
    return false;
  }
  return true;
}
