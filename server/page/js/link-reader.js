// @ts-check
/** The entries of a link, as text, numbers and bytes. Links come from anywhere: each entry is checked. */

import {decodeBase64} from './base64.js';
import {seedIn} from './seed.js';

/** Bytes of a picture or of points that a link may hold; longer links break on their way. */
export const MOST_BYTES = 16 << 10;

/** Reads the entries of a link one by one, and notes what is wrong. */
export class Reader {
  /** @type {string[]} */
  unread = [];
  /** @type {Map<string, string>} */
  #entries = new Map();

  /** @param {string} hash */
  constructor(hash) {
    for (const entry of hash.replace(/^#/, '').split('&')) {
      if (entry === '') continue;
      const at = entry.indexOf('=');
      const [name, value] = at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
      try {
        this.#entries.set(decodeURIComponent(name), decodeURIComponent(value));
      } catch {
        this.unread.push(`“${shorten(entry)}” is damaged`);
      }
    }
    this.isEmpty = this.#entries.size === 0 && this.unread.length === 0;
  }

  /** @param {string} name */
  text(name) {
    const value = this.#entries.get(name);
    this.#entries.delete(name);
    return value;
  }

  /**
   * @param {string} name
   * @param {string[]} allowed
   */
  choice(name, allowed) {
    const value = this.text(name);
    if (value === undefined || allowed.includes(value)) return value;
    return this.refuse(name, value);
  }

  /**
   * @param {string} name
   * @param {number} min
   * @param {number} max
   * @param {boolean} whole
   */
  number(name, min, max, whole = false) {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    const fits = text.trim() !== '' && value >= min && value <= max && (!whole || Number.isInteger(value));
    return fits ? value : this.refuse(name, text);
  }

  seed() {
    const text = this.text('seed');
    if (text === undefined) return undefined;
    return seedIn(text) ?? this.refuse('seed', text);
  }

  /**
   * @param {string} name
   * @param {number | undefined} length undefined: any up to what links hold
   */
  bytes(name, length) {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const bytes = decodeBase64(text);
    const fits = bytes && bytes.length <= MOST_BYTES && (length === undefined || bytes.length === length);
    return fits ? bytes : this.refuse(name, text);
  }

  /**
   * @param {string} name
   * @param {string} value
   * @returns {undefined}
   */
  refuse(name, value) {
    this.unread.push(`${name} cannot be “${shorten(value)}” here`);
  }

  /** What could not be read, with the names that are unknown. */
  end() {
    const unknown = [...this.#entries.keys()].map((name) => `“${shorten(name)}” is unknown`);
    return [...this.unread, ...unknown];
  }
}

/** @param {string} text */
export const shorten = (text) => (text.length > 24 ? `${text.slice(0, 24)}…` : text);
