// @ts-check
/** One sample, large, following the view. */

import {byId} from './dom.js';
import {pictureOf, toImageData} from './looks.js';
import {sizeOf} from './wire.js';

/** @typedef {import('./frames.js').Frames} Frames */

export class Enlarged {
  /** The sample that was chosen last. */
  index = 0;

  #dialog = byId('enlarged');
  #canvas = byId('enlarged-view');
  #nameOf = (/** @type {number} */ _k) => '';
  /** @type {Frames | undefined} */
  #frames;
  #drawn = '';
  #changed;

  /**
   * @param {{changed: () => void, use: (k: number) => void, noise: (k: number) => void, save: () => void}} on
   */
  constructor(on) {
    this.#changed = on.changed;
    byId('enlarged-close').addEventListener('click', () => this.#dialog.close());
    byId('enlarged-previous').addEventListener('click', () => this.#go(-1));
    byId('enlarged-next').addEventListener('click', () => this.#go(1));
    byId('enlarged-save').addEventListener('click', on.save);
    for (const [id, act] of /** @type {const} */ ([['enlarged-use', on.use], ['enlarged-noise', on.noise]])) {
      byId(id).addEventListener('click', () => {
        this.#dialog.close();
        act(this.index);
      });
    }
    this.#dialog.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'ArrowLeft') this.#go(-1);
      if (event.key === 'ArrowRight') this.#go(1);
    });
    // A click beside the dialog lands on the dialog itself.
    this.#dialog.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  /**
   * A new run.
   * @param {Frames} frames
   * @param {(k: number) => string} nameOf
   */
  setFrames(frames, nameOf) {
    this.#frames = frames;
    this.#nameOf = nameOf;
    this.index = Math.min(this.index, frames.count - 1);
    this.#drawn = '';
  }

  /** @param {number} k */
  open(k) {
    this.index = k;
    this.#drawn = '';
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#changed();
  }

  /**
   * @param {number} position
   * @param {'x_0' | 'x_t' | 'split'} show
   */
  draw(position, show) {
    const frames = this.#frames;
    if (!this.#dialog.open || !frames?.isImage) return;
    const at = Math.floor(position);
    const key = `${this.index} ${at} ${show} ${frames.version}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    const picture = pictureOf(frames, this.index, at, show);
    const size = sizeOf(frames.model);
    [this.#canvas.width, this.#canvas.height] = [size.width, size.height];
    if (picture) this.#canvas.getContext('2d').putImageData(toImageData(picture, size), 0, 0);
    const name = this.#nameOf(this.index);
    byId('enlarged-title').textContent = `Sample ${this.index}${name ? `, ${name}` : ''}`;
    const level = frames.noiseLevelAt(at);
    byId('enlarged-words').textContent = `Step ${at} of ${frames.numSteps}, ᾱ = ${(1 - level ** 2).toFixed(3)}, noise ${level.toFixed(3)}`;
    const isFinal = frames.isFinal[this.index] === 1;
    byId('enlarged-use').disabled = byId('enlarged-noise').disabled = !isFinal;
  }

  /** @param {number} by */
  #go(by) {
    const count = this.#frames?.count ?? 1;
    this.open((this.index + by + count) % count);
  }
}
