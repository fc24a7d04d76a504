// @ts-check
/** The person is the forward process: a slider noises a picture, or points, with the model's own schedule. */

import {byId, cssColour} from './dom.js';
import {toImageData} from './looks.js';
import {FORWARD_DRAW, fillNormal} from './noise.js';
import {toPixels, toValues} from './pixels.js';
import {addNoise, describe, lastPosition, levelAt, mixAt, positionOf} from './schedule.js';
import {elementsOf, isImage, sizeOf} from './wire.js';

/** @typedef {import('./wire.js').Model} Model */
/** @typedef {{picture?: Uint8Array, cloud?: Float32Array, label?: number}} Source */

/** Points that are noised. */
export const MOST_POINTS = 1000;
/** Device pixels of a view of points. */
const SIDE = 224;
const EXTENT = 3;

export class Forward {
  /** @type {Source} */
  source = {};

  #slider = byId('forward-t');
  #canvas = byId('forward-view');
  #seed;
  /** @type {Model | undefined} */
  #model;
  /** The noise of the present source. @type {{key: string, eps: Float32Array}} */
  #noise = {key: '', eps: new Float32Array(0)};

  /**
   * @param {() => bigint} seed of the run that would start from here
   * @param {(source: Source, level: number) => void} denoise
   */
  constructor(seed, denoise) {
    this.#seed = seed;
    this.#slider.addEventListener('input', () => this.draw());
    byId('denoise-from-here').addEventListener('click', () => denoise(this.source, this.level));
  }

  /** @param {Model} model */
  setModel(model) {
    const isSame = this.#model?.name === model.name;
    this.#model = model;
    this.#slider.max = String(lastPosition(model));
    byId('forward-strength').hidden = !isImage(model);
    if (!isSame) {
      this.source = {};
      this.#slider.value = String(Math.round(lastPosition(model) * 0.4));
    }
    this.draw();
  }

  /**
   * @param {Source} source
   * @param {number | undefined} level undefined: as it is
   */
  setSource(source, level = undefined) {
    this.source = source;
    if (level !== undefined && this.#model) this.#slider.value = String(positionOf(this.#model, level));
    this.draw();
  }

  get level() {
    return levelAt(/** @type {Model} */ (this.#model), Number(this.#slider.value));
  }

  draw() {
    const model = this.#model;
    if (!model) return;
    const {picture, cloud} = this.source;
    const hasSource = Boolean(picture ?? cloud);
    byId('denoise-from-here').disabled = !hasSource;
    const words = describe(model, this.level);
    byId('forward-words').textContent = hasSource ? words : 'Once a sample is finished, you can add noise to it here.';
    this.#slider.setAttribute('aria-valuetext', words);
    if (picture) this.#drawPicture(model, picture);
    else if (cloud) this.#drawCloud(model, cloud);
    else this.#canvas.width = this.#canvas.height = 1;
  }

  /**
   * @param {Model} model
   * @param {Uint8Array} picture
   */
  #drawPicture(model, picture) {
    const size = sizeOf(model);
    const x_t = addNoise(model, this.level, toValues(picture, size), this.#epsOf(elementsOf(model), 1));
    const pixels = new Uint8Array(picture.length);
    toPixels(scaled(model, this.level, x_t), size, pixels);
    [this.#canvas.width, this.#canvas.height] = [size.width, size.height];
    this.#canvas.getContext('2d').putImageData(toImageData(pixels, size), 0, 0);
  }

  /**
   * @param {Model} model
   * @param {Float32Array} cloud
   */
  #drawCloud(model, cloud) {
    const x_t = scaled(model, this.level, addNoise(model, this.level, cloud, this.#epsOf(2, cloud.length / 2)));
    this.#canvas.width = this.#canvas.height = SIDE;
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
    context.fillStyle = cssColour('--points-point');
    context.globalAlpha = 0.7;
    for (let k = 0; k < x_t.length; k += 2) {
      context.fillRect((x_t[k] / EXTENT / 2 + 0.5) * SIDE - 1, (0.5 - x_t[k + 1] / EXTENT / 2) * SIDE - 1, 2.4, 2.4);
    }
  }

  /**
   * The noise that "denoise from here" uses, of samples 0 to count - 1.
   * @param {number} elements of a sample
   * @param {number} count
   */
  #epsOf(elements, count) {
    const key = `${this.#seed()} ${elements} ${count}`;
    if (this.#noise.key !== key) {
      const eps = new Float32Array(elements * count);
      for (let k = 0; k < count; k += 1) fillNormal(this.#seed(), k, FORWARD_DRAW, eps.subarray(k * elements, (k + 1) * elements));
      this.#noise = {key, eps};
    }
    return this.#noise.eps;
  }
}

/**
 * A state of EDM at the scale of its data, so that it can be seen; others have it already.
 * @param {Model} model
 * @param {number} level
 * @param {Float32Array} state
 */
function scaled(model, level, state) {
  if (!model.edm) return state;
  const {signal, noise} = mixAt(model, level);
  return state.map((x) => x / Math.hypot(signal, noise));
}

/**
 * What a run's sample, or its points, are as a source.
 * @param {import('./frames.js').Frames} frames
 * @param {number} k
 * @param {number[]} classes
 * @returns {Source}
 */
export function sourceOf(frames, k, classes) {
  if (!isImage(frames.model)) return {cloud: frames.values?.slice(0, 2 * Math.min(frames.count, MOST_POINTS))};
  const block = /** @type {Uint8Array} */ (frames.block(1, frames.finalStep));
  const picture = block.slice(k * frames.elements, (k + 1) * frames.elements);
  return {picture, label: classes.length ? classes[k % classes.length] : undefined};
}
