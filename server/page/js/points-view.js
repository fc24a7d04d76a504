// @ts-check
/** The samples of a model of points: particles with fading trails over the density of where they end. */

import {densityOf, paintDensity} from './density.js';
import {Raster} from './raster.js';
import {X_0, X_T} from './wire.js';

/** @typedef {import('./frames.js').Frames} Frames */
/** @typedef {import('./raster.js').Colour} Colour */
/** @typedef {{ground: Colour, density: Colour, point: Colour, trail: Colour, other: Colour}} Palette */

/** Steps of a trail. */
const TRAIL = 12;
/** CSS pixels. */
const RADIUS = 1.7;
/** The view reaches at least as far, so that noise of unit variance fits. */
const LEAST_EXTENT = 3;
/** Milliseconds between paintings of a density that still changes. */
const DENSITY_MS = 250;

export class PointsView {
  /** @type {Frames | undefined} */
  frames;
  extent = LEAST_EXTENT;

  #canvas;
  #context;
  /** @type {Palette} */
  #palette;
  #ground = {version: -1, at: -Infinity, words: new Uint32Array(0)};
  #drawn = {version: -1, position: -1, show: ''};
  /** @type {ImageData | undefined} */
  #image;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Palette} palette
   */
  constructor(canvas, palette) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    this.#palette = palette;
  }

  /** @param {Palette} palette */
  setPalette(palette) {
    this.#palette = palette;
    this.#ground.version = -1;
    this.#drawn.version = -1;
  }

  /**
   * @param {Frames} frames
   * @param {{width: number, height: number}} box
   */
  setFrames(frames, box) {
    this.frames = frames;
    this.extent = LEAST_EXTENT;
    this.#ground.version = -1;
    this.layOut(box);
  }

  /** @param {{width: number, height: number}} box in CSS pixels */
  layOut(box) {
    const side = Math.max(1, Math.floor(Math.min(box.width, box.height)));
    const density = Math.min(2, devicePixelRatio || 1);
    const pixels = Math.round(side * density);
    this.#canvas.style.width = this.#canvas.style.height = `${side}px`;
    this.#canvas.classList.add('smooth');
    this.#drawn.version = -1;
    if (this.#image?.width === pixels && this.#canvas.width === pixels) return;
    this.#canvas.width = this.#canvas.height = pixels;
    this.#image = this.#context.createImageData(pixels, pixels);
    this.#ground.version = -1;
    // Neither is its size right, however new it is.
    this.#ground.at = -Infinity;
  }

  /**
   * @param {number} position
   * @param {'x_0' | 'x_t' | 'split'} show
   * @returns {boolean} whether anything new was drawn
   */
  draw(position, show) {
    const {frames} = this;
    const drawn = this.#drawn;
    if (!frames || !this.#image) return false;
    const isSettled = frames.finished === frames.count;
    const hasGround = this.#ground.version === frames.version || (!isSettled && performance.now() - this.#ground.at < DENSITY_MS);
    if (hasGround && drawn.version === frames.version && drawn.position === position && drawn.show === show) return false;
    this.#drawn = {version: frames.version, position, show};
    if (!hasGround) this.#paintGround(frames);
    const words = new Uint32Array(this.#image.data.buffer);
    words.set(this.#ground.words);
    this.paint(new Raster(words, this.#image.width, this.#image.width), frames, position, show);
    this.#context.putImageData(this.#image, 0, 0);
    return true;
  }

  /**
   * The whole view as pixels, for files.
   * @param {number} side
   * @param {number} position
   * @param {'x_0' | 'x_t' | 'split'} show
   * @returns {Uint8Array} RGBA
   */
  pixelsAt(side, position, show) {
    const words = new Uint32Array(side * side);
    const {frames} = this;
    if (frames) {
      paintDensity(this.#densityOf(frames), words, side, this.#palette.ground, this.#palette.density);
      this.paint(new Raster(words, side, side), frames, position, show);
    }
    return new Uint8Array(words.buffer);
  }

  /**
   * @param {Raster} raster
   * @param {Frames} frames
   * @param {number} position
   * @param {'x_0' | 'x_t' | 'split'} show
   */
  paint(raster, frames, position, show) {
    const kind = show === 'x_0' ? X_0 : X_T;
    const {point, trail, other} = this.#palette;
    const side = raster.width;
    let [before, places] = [new Float32Array(2 * frames.count), new Float32Array(2 * frames.count)];
    // Beside the lines to where points are expected to end, trails would hide both.
    const length = show === 'split' ? 0 : Math.min(TRAIL, Math.ceil(position));
    this.#place(frames, kind, position - length, side, places);
    for (let back = length - 1; back >= 0; back -= 1) {
      [before, places] = [places, before];
      this.#place(frames, kind, position - back, side, places);
      const alpha = 0.4 * (1 - back / TRAIL) ** 1.5;
      for (let at = 0; at < places.length; at += 2) raster.line(before[at], before[at + 1], places[at], places[at + 1], trail, alpha);
    }
    const radius = RADIUS * (side / Math.max(1, this.#canvas.clientWidth || side)) * (frames.count > 2000 ? 0.7 : 1);
    if (show === 'split') {
      this.#place(frames, X_0, position, side, before);
      for (let at = 0; at < places.length; at += 2) {
        raster.line(places[at], places[at + 1], before[at], before[at + 1], other, 0.22);
        raster.dot(before[at], before[at + 1], radius * 0.8, other, 0.9);
      }
    }
    for (let at = 0; at < places.length; at += 2) raster.dot(places[at], places[at + 1], radius, point, 0.9);
  }

  /**
   * Where the points stand on the picture, between two steps if need be; NaN for those not received.
   * @param {Frames} frames
   * @param {1 | 2} kind
   * @param {number} position
   * @param {number} side
   * @param {Float32Array} out
   */
  #place(frames, kind, position, side, out) {
    const low = Math.max(0, Math.floor(position));
    const share = position - low;
    const scale = side / 2 / this.extent;
    for (let k = 0; k < frames.count; k += 1) {
      const from = frames.stepAt(kind, k, low);
      const to = share > 0 ? frames.stepAt(kind, k, low + 1) : from;
      let [x, y] = [NaN, NaN];
      if (from >= 0) {
        const block = frames.block(kind, from);
        x = block[2 * k];
        y = block[2 * k + 1];
      }
      if (to !== from && from >= 0) {
        const next = frames.block(kind, to);
        x += (next[2 * k] - x) * share;
        y += (next[2 * k + 1] - y) * share;
      }
      out[2 * k] = side / 2 + x * scale;
      out[2 * k + 1] = side / 2 - y * scale;
    }
  }

  /** @param {Frames} frames */
  #paintGround(frames) {
    const side = /** @type {ImageData} */ (this.#image).width;
    if (this.#ground.words.length !== side * side) this.#ground.words = new Uint32Array(side * side);
    paintDensity(this.#densityOf(frames), this.#ground.words, side, this.#palette.ground, this.#palette.density);
    this.#ground.version = frames.version;
    this.#ground.at = performance.now();
  }

  /**
   * The density of finished points; before there are any, of where points are expected to end.
   * @param {Frames} frames
   */
  #densityOf(frames) {
    const final = /** @type {Float32Array} */ (frames.block(X_0, frames.finalStep));
    const isFinal = (/** @type {number} */ k) => frames.isFinal[k] === 1;
    if (frames.finished > 0) {
      this.#reach(final, isFinal);
      return densityOf(final, isFinal, this.extent);
    }
    if (frames.newest === 0 || !frames.has(X_0)) return undefined;
    const expected = new Float32Array(2 * frames.count);
    for (let k = 0; k < frames.count; k += 1) {
      const step = frames.stepAt(X_0, k, frames.newest);
      if (step >= 0) expected.set(frames.block(X_0, step).subarray(2 * k, 2 * k + 2), 2 * k);
    }
    return densityOf(expected, (k) => frames.stepAt(X_0, k, frames.newest) >= 0, this.extent);
  }

  /**
   * Widens the view for data that lies outside.
   * @param {Float32Array} points
   * @param {(k: number) => boolean} isThere
   */
  #reach(points, isThere) {
    let most = 0;
    for (let k = 0; 2 * k < points.length; k += 1) {
      const size = Math.max(Math.abs(points[2 * k]), Math.abs(points[2 * k + 1]));
      if (isThere(k) && size < 1e6) most = Math.max(most, size);
    }
    this.extent = Math.max(LEAST_EXTENT, this.extent, 1.08 * most);
  }
}
