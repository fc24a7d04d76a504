// @ts-check
/**
 * Everything that was received of a run: what each sample looked like at each step.
 *
 * Looks stand in one block of memory per kind and step, so that drawing allocates nothing. A block is a Uint8Array of
 * pixels for images and a Float32Array of coordinates for points. Memory is bounded: of a long run of large samples,
 * only every n-th step is kept. Finished samples are kept always.
 */

import {X_0, X_T, elementsOf, isImage, sizeOf} from './wire.js';
import {toPixels} from './pixels.js';

/** Bytes of previews that are kept of one run. */
export const PREVIEW_BUDGET = 48 << 20;

/**
 * Every how many steps previews are kept, so that they fit.
 * @param {number} numSteps
 * @param {number} bytes of one step, all kinds together
 */
export const keepEvery = (numSteps, bytes) => Math.max(1, Math.ceil((numSteps * bytes) / PREVIEW_BUDGET));

/** @typedef {1 | 2} Kind `X_0` or `X_T` */
/** @typedef {Uint8Array | Float32Array} Block */

export class Frames {
  /** Steps of the run. */
  numSteps;
  /** The latest step of which anything was received. */
  newest = 0;
  /** By step: sqrt(1 - ᾱ), NaN where nothing was received. @type {Float64Array} */
  noiseLevels;
  /** Whether sample k is finished. */
  isFinal;
  /** Finished samples at the model's scale; undefined if they came as pixels. @type {Float32Array | undefined} */
  values;
  /** Counts changes, so that views know when to look again. */
  version = 0;

  /** By kind, then step. @type {Record<number, (Block | undefined)[]>} */
  #blocks = {[X_0]: [], [X_T]: []};
  /** By kind, then step: whether a sample is there. @type {Record<number, (Uint8Array | undefined)[]>} */
  #here = {[X_0]: [], [X_T]: []};
  /** @type {Block} */
  #finals;
  #every = 1;

  /**
   * @param {import('./wire.js').Model} model
   * @param {number} count samples of the run, of the indices 0 to count - 1
   * @param {number} numSteps as far as it is known
   * @param {boolean} withValues whether finished images come as values of the model
   */
  constructor(model, count, numSteps, withValues) {
    this.model = model;
    this.count = count;
    this.elements = elementsOf(model);
    this.isImage = isImage(model);
    this.isFinal = new Uint8Array(count);
    this.values = withValues || !this.isImage ? new Float32Array(count * this.elements) : undefined;
    this.#finals = this.isImage ? new Uint8Array(count * this.elements) : /** @type {Float32Array} */ (this.values);
    this.numSteps = numSteps;
    this.noiseLevels = new Float64Array(numSteps + 1).fill(NaN);
    this.#thin();
  }

  /** The step that stands for "finished" in `stepAt` and `block`. */
  get finalStep() {
    return this.numSteps + 1;
  }

  /**
   * What the samples start from, before the first step.
   * @param {Block} block
   * @param {number} noiseLevel
   */
  setStart(block, noiseLevel) {
    this.#blocks[X_T][0] = block;
    this.#here[X_T][0] = new Uint8Array(this.count).fill(1);
    this.noiseLevels[0] = noiseLevel;
    this.version += 1;
  }

  /**
   * Takes a `Preview`. One that comes twice, since a run was resumed, has the same bytes.
   * @param {any} preview
   */
  addPreview(preview) {
    const {step, numSteps, packed} = preview;
    if (numSteps !== this.numSteps) this.#setNumSteps(numSteps);
    this.noiseLevels[step] = preview.noiseLevel;
    if (step > this.newest) this.newest = step;
    this.version += 1;
    if (step % this.#every !== 0 && step !== numSteps) return;
    const kind = /** @type {Kind} */ (preview.kind);
    this.#blocks[kind][step] ??= this.#newBlock();
    this.#here[kind][step] ??= new Uint8Array(this.count);
    copySamples(packed, this.count, /** @type {Block} */ (this.#blocks[kind][step]), this.elements);
    mark(packed.indices, /** @type {Uint8Array} */ (this.#here[kind][step]));
  }

  /**
   * Takes finished samples in FORMAT_RAW_F32, or images in FORMAT_RAW_U8 if there are no `values`.
   * @param {{indices: bigint[], data: Uint8Array}} packed
   */
  addFinals(packed) {
    copySamples(packed, this.count, this.values ?? this.#finals, this.elements);
    if (this.values && this.isImage) {
      for (const index of packed.indices) this.#drawPixels(Number(index));
    }
    mark(packed.indices, this.isFinal);
    this.version += 1;
  }

  /**
   * The step at which sample k was last seen up to a position; -1 if it was not.
   * @param {Kind} kind
   * @param {number} k
   * @param {number} position from 0 to numSteps
   */
  stepAt(kind, k, position) {
    if (position >= this.numSteps && this.isFinal[k]) return this.finalStep;
    const here = this.#here[kind];
    for (let step = Math.min(position, this.newest); step >= 0; step -= 1) {
      if (here[step]?.[k]) return step;
    }
    return -1;
  }

  /**
   * The looks of all samples at a step that `stepAt` returned; those of sample k begin at k · elements.
   * @param {Kind} kind
   * @param {number} step
   * @returns {Block}
   */
  block(kind, step) {
    return step === this.finalStep ? this.#finals : /** @type {Block} */ (this.#blocks[kind][step]);
  }

  /** Whether a kind was asked for, as far as is known yet. @param {Kind} kind */
  has(kind) {
    const other = X_0 + X_T - kind;
    return this.#here[kind].length > 1 || this.#here[other].length <= 1;
  }

  /** How many samples are finished. */
  get finished() {
    return this.isFinal.reduce((sum, one) => sum + one, 0);
  }

  /**
   * The noise level at a position, of the nearest step that was received.
   * @param {number} position
   */
  noiseLevelAt(position) {
    for (let step = Math.min(Math.floor(position), this.numSteps); step >= 0; step -= 1) {
      if (!Number.isNaN(this.noiseLevels[step])) return this.noiseLevels[step];
    }
    return 1;
  }

  /** @param {number} k */
  #drawPixels(k) {
    const [from, to] = [k * this.elements, (k + 1) * this.elements];
    const values = /** @type {Float32Array} */ (this.values).subarray(from, to);
    toPixels(values, sizeOf(this.model), /** @type {Uint8Array} */ (this.#finals).subarray(from, to));
  }

  /** @returns {Block} */
  #newBlock() {
    const length = this.count * this.elements;
    return this.isImage ? new Uint8Array(length) : new Float32Array(length);
  }

  /**
   * A grid may visit fewer or more points than it was asked for; previews say how many.
   * @param {number} numSteps
   */
  #setNumSteps(numSteps) {
    const levels = new Float64Array(numSteps + 1).fill(NaN);
    levels.set(this.noiseLevels.subarray(0, Math.min(numSteps + 1, this.noiseLevels.length)));
    this.noiseLevels = levels;
    this.numSteps = numSteps;
    this.#thin();
  }

  #thin() {
    const bytes = 2 * this.count * this.elements * (this.isImage ? 1 : 4);
    this.#every = keepEvery(this.numSteps, bytes);
  }
}

/**
 * Copies the samples of `packed` to their places, runs of consecutive indices at once.
 * @param {{indices: bigint[], data: Uint8Array}} packed
 * @param {number} count
 * @param {Block} block
 * @param {number} elements
 */
function copySamples({indices, data}, count, block, elements) {
  const size = elements * block.BYTES_PER_ELEMENT;
  if (data.length !== indices.length * size) throw new Error('the server sent samples of another size than the model has');
  const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
  for (let from = 0; from < indices.length;) {
    const first = Number(indices[from]);
    let to = from + 1;
    while (to < indices.length && Number(indices[to]) === first + to - from) to += 1;
    if (first + to - from > count) throw new Error('the server sent a sample that was not asked for');
    bytes.set(data.subarray(from * size, to * size), first * size);
    from = to;
  }
}

/**
 * @param {bigint[]} indices
 * @param {Uint8Array} flags
 */
function mark(indices, flags) {
  for (const index of indices) flags[Number(index)] = 1;
}
