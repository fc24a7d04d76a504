// @ts-check
/** |A − B| of two runs as a picture: black where they agree; of points, a line from each point of A to that of B. */

import {GridCanvas} from './grid-canvas.js';
import {pictureOf} from './looks.js';
import {Raster} from './raster.js';
import {X_0, X_T, sizeOf} from './wire.js';

/** @typedef {import('./frames.js').Frames} Frames */
/** @typedef {'x_0' | 'x_t' | 'split'} Show */

const EXTENT = 3;

export class Difference {
  /** How many times brighter than it is the difference is drawn. */
  gain = 1;

  #canvas;
  #holder;
  #grid;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#holder = /** @type {HTMLElement} */ (canvas.parentElement);
    this.#grid = new GridCanvas(canvas);
  }

  /**
   * The mean difference: of pictures a share of the range of values, of points their distance; undefined if the two cannot
   * be compared.
   * @param {Frames} a
   * @param {Frames} b
   * @param {number} positionA
   * @param {number} positionB
   * @param {Show} show
   * @returns {number | undefined}
   */
  draw(a, b, positionA, positionB, show) {
    if (a.isImage !== b.isImage || a.model.shape.join() !== b.model.shape.join()) return undefined;
    return a.isImage ? this.#pictures(a, b, positionA, positionB, show) : this.#points(a, b, positionA, positionB, show);
  }

  /**
   * @param {Frames} a
   * @param {Frames} b
   * @param {number} positionA
   * @param {number} positionB
   * @param {Show} show
   */
  #pictures(a, b, positionA, positionB, show) {
    const count = Math.min(a.count, b.count);
    const size = sizeOf(a.model);
    this.#canvas.classList.remove('smooth');
    this.#grid.arrange(count, size, {width: this.#holder.clientWidth, height: this.#holder.clientHeight});
    /** @type {[number, Uint8Array, Uint8Array][]} */
    const pairs = [];
    let sum = 0;
    for (let k = 0; k < count; k += 1) {
      const [ours, theirs] = [pictureOf(a, k, positionA, show), pictureOf(b, k, positionB, show)];
      if (!ours || !theirs) continue;
      pairs.push([k, ours, theirs]);
      for (let at = 0; at < ours.length; at += 1) sum += Math.abs(ours[at] - theirs[at]);
    }
    const mean = sum / (count * a.elements * 255);
    this.gain = gainOf(mean);
    for (const [k, ours, theirs] of pairs) this.#cell(k, ours, theirs, size);
    this.#grid.show();
    return mean;
  }

  /**
   * @param {number} k
   * @param {Uint8Array} ours
   * @param {Uint8Array} theirs
   * @param {import('./pixels.js').Size} size
   */
  #cell(k, ours, theirs, {channels, height, width}) {
    const {words, stride} = this.#grid;
    const start = this.#grid.cell(k);
    const inColour = channels === 3;
    const {gain} = this;
    for (let y = 0, from = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1, from += channels) {
        const red = Math.min(255, gain * Math.abs(ours[from] - theirs[from]));
        const green = inColour ? Math.min(255, gain * Math.abs(ours[from + 1] - theirs[from + 1])) : red;
        const blue = inColour ? Math.min(255, gain * Math.abs(ours[from + 2] - theirs[from + 2])) : red;
        words[start + y * stride + x] = 0xff000000 | (blue << 16) | (green << 8) | red;
      }
    }
    this.#grid.touch(k);
  }

  /**
   * @param {Frames} a
   * @param {Frames} b
   * @param {number} positionA
   * @param {number} positionB
   * @param {Show} show
   */
  #points(a, b, positionA, positionB, show) {
    this.gain = 1;
    const side = Math.max(1, Math.min(this.#holder.clientWidth, this.#holder.clientHeight));
    const pixels = Math.round(side * Math.min(2, devicePixelRatio || 1));
    this.#canvas.width = this.#canvas.height = pixels;
    this.#canvas.style.width = this.#canvas.style.height = `${side}px`;
    this.#canvas.classList.add('smooth');
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
    const image = context.createImageData(pixels, pixels);
    const raster = new Raster(new Uint32Array(image.data.buffer), pixels, pixels);
    raster.words.fill(0xff000000);
    const kind = show === 'x_0' ? X_0 : X_T;
    const place = (/** @type {number} */ value) => (value / EXTENT / 2 + 0.5) * pixels;
    let [sum, found] = [0, 0];
    for (let k = 0; k < Math.min(a.count, b.count); k += 1) {
      const [stepA, stepB] = [a.stepAt(kind, k, Math.floor(positionA)), b.stepAt(kind, k, Math.floor(positionB))];
      if (stepA < 0 || stepB < 0) continue;
      const [ours, theirs] = [a.block(kind, stepA), b.block(kind, stepB)];
      const [x0, y0, x1, y1] = [ours[2 * k], ours[2 * k + 1], theirs[2 * k], theirs[2 * k + 1]];
      sum += Math.hypot(x1 - x0, y1 - y0);
      found += 1;
      raster.line(place(x0), place(-y0), place(x1), place(-y1), [255, 176, 103], 0.22);
      raster.dot(place(x0), place(-y0), 1.3, [223, 227, 255], 0.9);
    }
    context.putImageData(image, 0, 0);
    return found ? sum / found : 0;
  }
}

/**
 * The largest power of two, up to 16, that leaves a difference of this mean dark enough to see where it is.
 * @param {number} mean
 */
function gainOf(mean) {
  let gain = 1;
  while (gain < 16 && mean * gain < 0.06) gain *= 2;
  return gain;
}
