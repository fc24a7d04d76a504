// @ts-check
/** The samples of an image model as a grid. */

import {GridCanvas} from './grid-canvas.js';
import {blit} from './pixels.js';
import {X_0, X_T, sizeOf} from './wire.js';

/** @typedef {import('./frames.js').Frames} Frames */
/** @typedef {'x_0' | 'x_t' | 'split'} Show */

export class GridView {
  /** @type {Frames | undefined} */
  frames;
  grid;
  /** What each picture shows: its steps of x_t and x_0 in one number. */
  #shown = new Float64Array(0);
  /** How much earlier than the others each sample steps forward while the view moves, from 0 to 1. */
  #phases = new Float32Array(0);
  #drawn = {version: -1, position: -1, show: '', isMoving: false};

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.grid = new GridCanvas(canvas);
  }

  /**
   * @param {Frames} frames
   * @param {{width: number, height: number}} box
   */
  setFrames(frames, box) {
    this.frames = frames;
    this.layOut(box);
    this.#shown = new Float64Array(frames.count).fill(NaN);
    this.#drawn.version = -1;
  }

  /** @param {{width: number, height: number}} box in CSS pixels */
  layOut(box) {
    if (!this.frames) return;
    const {count, model} = this.frames;
    if (this.grid.arrange(count, sizeOf(model), box)) this.#shown.fill(NaN);
    this.#phases = wave(count, this.grid.arrangement.columns);
    this.#drawn.version = -1;
  }

  /**
   * @param {number} position
   * @param {Show} show
   * @param {boolean} isMoving whether samples step forward one after another
   * @returns {boolean} whether anything new was drawn
   */
  draw(position, show, isMoving) {
    const frames = this.frames;
    const drawn = this.#drawn;
    if (!frames) return false;
    if (drawn.version === frames.version && drawn.position === position && drawn.show === show && drawn.isMoving === isMoving) return false;
    this.#drawn = {version: frames.version, position, show, isMoving};
    for (let k = 0; k < frames.count; k += 1) {
      const at = Math.floor(isMoving ? Math.min(position + this.#phases[k], frames.numSteps) : position);
      this.#drawSample(frames, k, at, show);
    }
    return this.grid.show();
  }

  /**
   * @param {Frames} frames
   * @param {number} k
   * @param {number} at
   * @param {Show} show
   */
  #drawSample(frames, k, at, show) {
    const x_t = show === 'x_0' ? -1 : lookStep(frames, X_T, k, at);
    const x_0 = show === 'x_t' ? -1 : lookStep(frames, X_0, k, at);
    const key = (x_t + 1) * 2 ** 20 + (x_0 + 1) * 4 + (show === 'split' ? 1 : 0);
    if (this.#shown[k] === key) return;
    this.#shown[k] = key;
    const {grid} = this;
    const {width} = grid.size;
    const middle = show === 'split' ? Math.ceil(width / 2) : show === 'x_t' ? width : 0;
    if (x_t < 0 || x_0 < 0) grid.clear(k);
    const offset = k * frames.elements;
    if (x_t >= 0) blit(pixels(frames, X_T, x_t), offset, grid.size, grid.words, grid.cell(k), grid.stride, 0, middle);
    if (x_0 >= 0) blit(pixels(frames, X_0, x_0), offset, grid.size, grid.words, grid.cell(k), grid.stride, middle, width);
    grid.touch(k);
  }
}

/**
 * The step at which a sample is shown; of a run that shows one kind only, the other stands in for it.
 * @param {Frames} frames
 * @param {1 | 2} kind
 * @param {number} k
 * @param {number} at
 */
export function lookStep(frames, kind, k, at) {
  return frames.stepAt(frames.has(kind) ? kind : kind === X_0 ? X_T : X_0, k, at);
}

/**
 * @param {Frames} frames
 * @param {1 | 2} kind
 * @param {number} step
 */
export function pixels(frames, kind, step) {
  return /** @type {Uint8Array} */ (frames.block(frames.has(kind) ? kind : kind === X_0 ? X_T : X_0, step));
}

/**
 * Phases that run over the grid as a diagonal wave.
 * @param {number} count
 * @param {number} columns
 */
function wave(count, columns) {
  const rows = Math.ceil(count / columns);
  const most = Math.max(1, columns + rows - 2);
  return Float32Array.from({length: count}, (_, k) => 0.999 * (1 - ((k % columns) + Math.floor(k / columns)) / most));
}
