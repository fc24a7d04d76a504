// @ts-check
/**
 * One run: a request → events → what is known of it.
 *
 * A run may need several streams, if one breaks: then it asks again for the indices it still misses, with `expect` from
 * the first answer, so that they are the same samples. Whoever watches sees one run, and each index once.
 */

import {Backoff} from './backoff.js';
import {Refusal} from './contract.js';
import {Frames} from './frames.js';
import {Watch} from './watch.js';
import {RAW_F32, X_0, X_T, milliseconds} from './wire.js';

/** Steps that a program has at most, by the contract. */
const MOST_STEPS = 100_000;

/** Bytes of a sample that a page can hold. */
const MOST_SAMPLE_BYTES = 64 << 20;

/** @typedef {'waiting' | 'running' | 'interrupted' | 'done' | 'cancelled' | 'failed'} RunState */

/** Milliseconds of reading after which the page may draw: what has arrived already comes without a pause. */
const SLICE_MS = 10;

export class Run {
  /** @type {RunState} */
  state = 'waiting';
  /** What came of it; undefined before `accepted`. @type {Frames | undefined} */
  frames;
  /** Where the samples come from. @type {any} */
  receipt;
  /** Of the first stream. @type {any} */
  accepted;
  /** @type {any} */
  progress;
  /** @type {any} */
  completed;
  /** Why the run failed, or why it is interrupted. @type {Refusal | undefined} */
  refusal;
  /** When an interrupted run asks again, by performance.now(). */
  retryAt = 0;
  /** Samples that the server could not finish. @type {{index: number, message: string}[]} */
  failures = [];
  /** Network evaluations per second, lately. */
  evalsPerSecond = 0;
  /** How often the run asked again for what was missing. */
  resumed = 0;
  startedAt = performance.now();
  endedAt = 0;

  #contract;
  #request;
  #changed;
  #abort = new AbortController();
  #backoff = new Backoff();
  /** Whether sample k arrived or failed. */
  #settled;
  #missing;
  /** @type {{index: bigint, data: Uint8Array, filled: number} | undefined} */
  #part;
  /** @type {{at: number, evals: number}} */
  #pace = {at: 0, evals: 0};

  /**
   * @param {import('./contract.js').Contract} contract
   * @param {import('./wire.js').Model} model
   * @param {any} request a GenerateRequest with a sample count
   * @param {(run: Run) => void} changed called after each event
   */
  constructor(contract, model, request, changed) {
    this.#contract = contract;
    this.#request = request;
    this.#changed = changed;
    this.model = model;
    this.count = request.samples.value;
    this.#settled = new Uint8Array(this.count);
    this.#missing = this.count;
  }

  get isOver() {
    return this.state === 'done' || this.state === 'cancelled' || this.state === 'failed';
  }

  /** Samples that have neither arrived nor failed. */
  get missing() {
    return this.#missing;
  }

  /** The request as it was sent first. */
  get request() {
    return this.#request;
  }

  /** Leaves; the server stops by its next tick. */
  cancel() {
    if (!this.isOver) this.#abort.abort();
  }

  /** Runs to the end, whichever it is. */
  async go() {
    while (!this.isOver) {
      try {
        this.#backoff.begins(performance.now());
        await this.#stream();
        this.#end('done');
      } catch (error) {
        await this.#broken(error);
      }
    }
  }

  /** @param {unknown} error */
  async #broken(error) {
    if (this.#abort.signal.aborted) return this.#end('cancelled');
    const said = error instanceof Error && error.name === 'ConnectError' ? this.#contract.refusal(error) : ownRefusal(error);
    // Nobody cancelled: the watch ended a stream that had gone silent.
    const refusal = said.code === 'CANCELED' ? new Refusal('', '', 'The server no longer answers.') : said;
    this.refusal = refusal;
    // Before it is accepted, only the person can say whether waiting for a full server is worth it.
    const waits = this.accepted || refusal.isConnection || refusal.code === 'UNAVAILABLE';
    const pause = waits ? this.#backoff.pause(refusal, performance.now()) : undefined;
    if (pause === undefined) return this.#end('failed');
    this.state = 'interrupted';
    this.retryAt = performance.now() + pause;
    this.#changed(this);
    await pauseFor(pause, this.#abort.signal);
    if (this.#abort.signal.aborted) return this.#end('cancelled');
    this.resumed += 1;
  }

  /** @param {RunState} state */
  #end(state) {
    this.state = state;
    this.endedAt = performance.now();
    this.#part = undefined;
    this.#changed(this);
  }

  async #stream() {
    this.#part = undefined;
    const watch = new Watch(this.#contract, this.#abort.signal);
    try {
      await this.#read(watch);
    } finally {
      watch.stop();
    }
  }

  /** @param {Watch} watch */
  async #read(watch) {
    let sequence = 0n;
    let [sliceStart, last] = [0, 0];
    for await (const message of this.#contract.sampling.generate(this.#next(), {signal: watch.signal})) {
      watch.heard();
      // Whoever had to wait for the event let the page draw already.
      if (performance.now() - last > 2) sliceStart = performance.now();
      if (performance.now() - sliceStart > SLICE_MS) {
        await drawing();
        sliceStart = performance.now();
      }
      if (message.sequence !== sequence) throw new Refusal('INTERNAL', '', 'An event of the stream is missing: use a server and a page of the same version.');
      sequence += 1n;
      this.#backoff.heard(performance.now());
      this.#take(message.event);
      this.#changed(this);
      last = performance.now();
    }
    if (!this.completed || this.#missing > 0) {
      this.completed = undefined;
      throw new Refusal('', '', 'The stream ended before the run was complete.');
    }
  }

  /** The request for what is missing. */
  #next() {
    if (!this.receipt) return this.#request;
    const {modelDigest, programDigest, fingerprint, graph, seed} = this.receipt;
    // Without its type, the copy is fields for a new message.
    const {$typeName: _, ...fields} = this.#request;
    return this.#contract.create('GenerateRequest', {
      ...fields,
      samples: {case: 'indexRanges', value: {ranges: this.#ranges()}},
      seed,
      graph,
      expect: {modelDigest, programDigest, fingerprint, graph},
    });
  }

  #ranges() {
    const ranges = [];
    for (let first = 0; first < this.count; first += 1) {
      if (this.#settled[first]) continue;
      let end = first;
      while (end < this.count && !this.#settled[end]) end += 1;
      ranges.push({first: BigInt(first), count: end - first});
      first = end;
    }
    return ranges;
  }

  /** @param {{case?: string, value?: any}} event */
  #take({case: kind, value}) {
    switch (kind) {
      case 'accepted': return this.#accept(value);
      case 'progress': return this.#progressed(value);
      case 'previews': return this.#previewed(value);
      case 'samples': return this.#finished(value);
      case 'sampleError': return this.#sampleFailed(value);
      case 'completed':
        this.completed = value;
        return undefined;
      default: throw unreadable('an event that it does not know');
    }
  }

  /** @param {any} accepted */
  #accept(accepted) {
    this.state = 'waiting';
    this.refusal = undefined;
    this.#pace = {at: performance.now(), evals: 0};
    if (this.receipt) return;
    if (!accepted.receipt || accepted.receipt.numSteps > MOST_STEPS) throw unreadable('an answer without a sound receipt');
    this.accepted = accepted;
    this.receipt = accepted.receipt;
    this.frames = new Frames(this.model, this.count, accepted.receipt.numSteps || 1, this.#request.format === RAW_F32);
  }

  /** @param {any} progress */
  #progressed(progress) {
    this.progress = progress;
    if (progress.samplesRunning > 0 || progress.samplesDone > 0) this.state = 'running';
    this.#measure(Number(progress.evalsDone));
  }

  /** @param {any} previews */
  #previewed(previews) {
    this.state = 'running';
    for (const preview of previews.previews) {
      const {step, numSteps, kind, packed} = preview;
      const isSound = packed && step >= 1 && step <= numSteps && numSteps <= MOST_STEPS && (kind === X_0 || kind === X_T);
      if (!isSound) throw unreadable(`a preview of step ${step} of ${numSteps}`);
      this.frames?.addPreview(preview);
    }
  }

  /** @param {any} samples */
  #finished({packed, offset, totalBytes}) {
    const whole = Number(totalBytes) ? this.#join(packed, Number(offset), Number(totalBytes)) : packed;
    if (!whole) return;
    for (const index of whole.indices) this.#settle(Number(index));
    this.frames?.addFinals(whole);
    this.state = 'running';
    this.#backoff.progressed();
  }

  /**
   * Puts a part of a large sample to its place; returns the sample once it is whole.
   * @param {{indices: bigint[], data: Uint8Array}} packed
   * @param {number} offset
   * @param {number} totalBytes
   */
  #join({indices: [index], data}, offset, totalBytes) {
    if (totalBytes > MOST_SAMPLE_BYTES) throw unreadable(`a sample of ${totalBytes} bytes`);
    if (offset === 0) this.#part = {index, data: new Uint8Array(totalBytes), filled: 0};
    const part = this.#part;
    if (!part || part.index !== index || part.filled !== offset || offset + data.length > totalBytes) {
      throw new Refusal('', '', `A part of sample ${index} is missing.`);
    }
    part.data.set(data, offset);
    part.filled += data.length;
    if (part.filled < totalBytes) return undefined;
    this.#part = undefined;
    return {indices: [index], data: part.data};
  }

  /** @param {any} failure */
  #sampleFailed(failure) {
    this.#settle(Number(failure.index));
    this.failures.push({index: Number(failure.index), message: failure.message});
  }

  /** @param {number} k */
  #settle(k) {
    if (k >= this.count || this.#settled[k]) throw new Refusal('INTERNAL', '', `The server sent sample ${k} twice, or unasked.`);
    this.#settled[k] = 1;
    this.#missing -= 1;
  }

  /** @param {number} evals done of this stream */
  #measure(evals) {
    const now = performance.now();
    const seconds = (now - this.#pace.at) / 1000;
    if (seconds < 0.2) return;
    const rate = (evals - this.#pace.evals) / seconds;
    this.evalsPerSecond = this.evalsPerSecond ? 0.6 * this.evalsPerSecond + 0.4 * rate : rate;
    this.#pace = {at: now, evals};
  }

  /** Milliseconds until the end, as the server expects; undefined if it does not say. */
  get eta() {
    return milliseconds(this.progress?.eta ?? this.accepted?.eta);
  }
}

/**
 * Of a server that does not keep to the contract: to ask again would not help.
 * @param {string} what it sent
 */
const unreadable = (what) => new Refusal('INTERNAL', '', `The server sent ${what}, which this page cannot use: reload the page.`);

/** @param {unknown} error */
function ownRefusal(error) {
  if (error instanceof Refusal) return error;
  return new Refusal('INTERNAL', '', `The page failed: ${error instanceof Error ? error.message : error}.`);
}

/**
 * Lets the page draw.
 * @returns {Promise<void>}
 */
const drawing = () => new Promise((resolve) => {
  setTimeout(resolve);
});

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal ends the pause
 * @returns {Promise<void>}
 */
function pauseFor(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, {once: true});
  });
}
