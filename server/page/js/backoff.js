// @ts-check
/**
 * When to try again: pauses that grow, with jitter, and how long to go on. Time is an argument.
 *
 * What runs out is patience. Time without an open stream costs it, a sample refills it.
 */

/** Milliseconds to go on without a sample. */
const PATIENCE = 5 * 60_000;
/** Before the second attempt; each further pause is twice as long. */
const FIRST_PAUSE = 250;
/** The longest pause of our own: somebody looks at the page. */
const LONGEST_PAUSE = 5_000;
/** By how much pauses vary, so that the pages of one server do not return together. */
const JITTER = 0.25;

export class Backoff {
  #failures = 0;
  /** @type {number | undefined} */
  #waitingSince;
  #waited = 0;

  /**
   * Notes that an attempt begins.
   * @param {number} now in milliseconds
   */
  begins(now) {
    this.#waitingSince ??= now;
  }

  /**
   * Notes an event of an open stream.
   * @param {number} now
   */
  heard(now) {
    if (this.#waitingSince === undefined) return;
    this.#waited += now - this.#waitingSince;
    this.#waitingSince = undefined;
  }

  /** Notes that a sample arrived. */
  progressed() {
    this.#failures = 0;
    this.#waited = 0;
    this.#waitingSince = undefined;
  }

  /**
   * How long to wait after a failed attempt; undefined if patience is over or another attempt would not help.
   * @param {import('./contract.js').Refusal} refusal
   * @param {number} now
   * @param {() => number} random in [0, 1)
   */
  pause(refusal, now, random = Math.random) {
    if (!refusal.isTransient) return undefined;
    this.heard(now);
    this.#waitingSince = now;
    const left = PATIENCE - this.#waited;
    const asked = refusal.retryAfterMs ?? 0;
    if (left <= 0 || asked > left) return undefined;
    const own = Math.min(FIRST_PAUSE * 2 ** Math.min(this.#failures, 16), LONGEST_PAUSE);
    this.#failures += 1;
    const varied = own * (1 + JITTER * (2 * random() - 1));
    return Math.min(Math.max(varied, asked * (1 + JITTER * random())), left);
  }
}
