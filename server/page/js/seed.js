// @ts-check
/** The key of all noise: its field, the dice, and the lock that keeps it for the next run. */

import {byId, isPressed, setIcon, setPressed} from './dom.js';

const MOST = 2n ** 64n - 1n;

/** A seed of 32 bits: people read it out and type it in. */
export const randomSeed = () => BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);

/**
 * The seed that a text means; undefined if none.
 * @param {string} text
 */
export function seedIn(text) {
  const written = text.replace(/[\s,_]/g, '');
  if (!/^\d{1,20}$/.test(written)) return undefined;
  const seed = BigInt(written);
  return seed <= MOST ? seed : undefined;
}

export class Seed {
  #field = byId('seed');
  #lock = byId('seed-lock');
  /** What the page itself wrote last. */
  #own = '';

  /** @param {() => void} changed */
  constructor(changed) {
    byId('seed-dice').addEventListener('click', () => {
      this.write(randomSeed());
      changed();
    });
    this.#lock.addEventListener('click', () => this.keep(!isPressed(this.#lock)));
    // Who writes a seed means it.
    this.#field.addEventListener('input', () => this.keep(true));
  }

  get isValid() {
    return seedIn(this.#field.value) !== undefined;
  }

  /** What is written; 0 if it is no seed. */
  get value() {
    return seedIn(this.#field.value) ?? 0n;
  }

  /** @param {bigint} seed */
  write(seed) {
    this.#own = String(seed);
    this.#field.value = this.#own;
  }

  /** @param {boolean} isKept */
  keep(isKept) {
    setPressed(this.#lock, isKept);
    setIcon(this.#lock, isKept ? 'lock' : 'unlock');
  }

  /** Chooses another seed for the next run, unless it is kept or the person wrote it. */
  roll() {
    const isWritten = this.#field.value !== this.#own;
    if (!isWritten && !isPressed(this.#lock)) this.write(randomSeed());
  }
}
