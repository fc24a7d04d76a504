// @ts-check
/** Streams that have gone silent. */

/** Milliseconds without an event after which the server is asked whether it is still there. */
const SILENCE_MS = 8000;

/**
 * Ends a stream whose server is gone without a word, as when a machine loses its network: a silent stream may also be one
 * that waits, so the server is asked.
 */
export class Watch {
  #contract;
  #stream = new AbortController();
  #timer;
  #heardAt = performance.now();

  /**
   * @param {import('./contract.js').Contract} contract
   * @param {AbortSignal} cancelled
   */
  constructor(contract, cancelled) {
    this.#contract = contract;
    cancelled.addEventListener('abort', () => this.#stream.abort(), {signal: this.#stream.signal});
    if (cancelled.aborted) this.#stream.abort();
    this.#timer = setInterval(() => void this.#look(), SILENCE_MS / 2);
  }

  /** Ends the stream. */
  get signal() {
    return this.#stream.signal;
  }

  /** Notes an event. */
  heard() {
    this.#heardAt = performance.now();
  }

  /** The stream is over. */
  stop() {
    clearInterval(this.#timer);
  }

  async #look() {
    if (performance.now() - this.#heardAt < SILENCE_MS) return;
    try {
      await this.#contract.server.getServerInfo({}, {timeoutMs: SILENCE_MS / 2});
    } catch {
      if (performance.now() - this.#heardAt >= SILENCE_MS) this.#stream.abort();
    }
  }
}
