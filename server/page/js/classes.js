// @ts-check
/** The classes of a model as chips; samples cycle through the chosen ones. */

import {byId} from './dom.js';

export class Classes {
  #place = byId('classes');

  /** @param {() => void} changed */
  constructor(changed) {
    this.#place.addEventListener('click', (/** @type {Event} */ event) => {
      const chip = /** @type {HTMLElement} */ (event.target).closest('.chip');
      if (!chip) return;
      chip.setAttribute('aria-checked', String(chip.getAttribute('aria-checked') !== 'true'));
      changed();
    });
    this.#place.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.#move(event));
    byId('classes-all').addEventListener('click', () => this.#setAll(true, changed));
    byId('classes-none').addEventListener('click', () => this.#setAll(false, changed));
  }

  /**
   * @param {string[]} names
   * @param {number[]} chosen
   */
  show(names, chosen) {
    const labels = new Set(chosen);
    this.#place.replaceChildren(...names.map((name, label) => {
      const chip = document.createElement('button');
      chip.type = 'button';
      chip.className = 'chip';
      chip.setAttribute('role', 'checkbox');
      chip.setAttribute('aria-checked', String(labels.has(label)));
      chip.dataset.label = String(label);
      chip.textContent = name;
      chip.title = name;
      return chip;
    }));
  }

  /** @returns {number[]} labels in their order */
  read() {
    return [...this.#place.querySelectorAll('[aria-checked="true"]')].map((chip) => Number(chip.dataset.label));
  }

  /**
   * @param {boolean} checked
   * @param {() => void} changed
   */
  #setAll(checked, changed) {
    for (const chip of this.#place.children) chip.setAttribute('aria-checked', String(checked));
    changed();
  }

  /** @param {KeyboardEvent} event */
  #move(event) {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    const chips = [...this.#place.children];
    const at = chips.indexOf(/** @type {Element} */ (document.activeElement));
    chips[(at + step + chips.length) % chips.length]?.focus();
  }
}
