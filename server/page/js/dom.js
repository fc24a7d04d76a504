// @ts-check
/** Small helpers for the elements of index.html. Text goes in as text, never as HTML. */

/**
 * The element of an id, which must be on the page.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * Fills a select, and keeps what was chosen where it is still there.
 * @param {HTMLSelectElement} select
 * @param {{value: string, label: string}[]} options
 * @param {string} chosen
 */
export function fillSelect(select, options, chosen = select.value) {
  select.replaceChildren(...options.map(({value, label}) => new Option(label, value)));
  select.value = options.some((option) => option.value === chosen) ? chosen : options[0]?.value ?? '';
}

/**
 * What a control is called on the page.
 * @param {string} id
 * @returns {string}
 */
export const nameOf = (id) => byId(id).dataset.name ?? byId(id).labels?.[0]?.textContent.trim() ?? '';

/**
 * Says what is wrong with a control, beside it; an empty sentence takes it back.
 * @param {string} id of the control
 * @param {string} sentence
 */
export function setError(id, sentence) {
  const place = byId(`${id}-error`);
  place.textContent = sentence;
  place.hidden = sentence === '';
  const control = document.getElementById(id);
  if (sentence === '') control?.removeAttribute('aria-invalid');
  else control?.setAttribute('aria-invalid', 'true');
}

/** Takes back everything that was said to be wrong. */
export function clearErrors() {
  for (const place of document.querySelectorAll('.error:not([hidden])')) setError(place.id.replace(/-error$/, ''), '');
}

/**
 * The number in an input; undefined if there is none.
 * @param {HTMLInputElement} input
 */
export function numberIn(input) {
  const value = input.value.trim() === '' ? NaN : Number(input.value);
  return Number.isFinite(value) ? value : undefined;
}

/**
 * Whether a button is pressed.
 * @param {HTMLElement} button
 */
export const isPressed = (button) => button.getAttribute('aria-pressed') === 'true';

/**
 * @param {HTMLElement} button
 * @param {boolean} pressed
 */
export const setPressed = (button, pressed) => button.setAttribute('aria-pressed', String(pressed));

/**
 * Changes the icon of a button.
 * @param {HTMLElement} button
 * @param {string} icon
 */
export const setIcon = (button, icon) => button.querySelector('use')?.setAttribute('href', `#icon-${icon}`);

/**
 * A colour of the style sheet.
 * @param {string} name such as `--accent`
 */
export const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
