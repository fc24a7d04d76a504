// @ts-check
/** One sample, large, following the view. */

import {byId} from './dom.js';
import {pictureOf, toImageData} from './looks.js';
import {sizeOf} from './wire.js';
import {sampleName} from './words.js';

/** @typedef {import('./frames.js').Frames} Frames */

export class Enlarged {
  /** The sample that was chosen last. */
  index = 0;
  /** The run that it is of: 1 while a sample of run B is shown, else 0. */
  which = 0;

  #dialog = byId('enlarged');
  #canvas = byId('enlarged-view');
  #isCompared = false;
  /** By run. @type {{frames: Frames, nameOf: (k: number) => string}[]} */
  #runs = [];
  #drawn = '';
  #changed;

  /**
   * @param {{changed: () => void, use: (k: number, which: number) => void, noise: (k: number, which: number) => void, save: () => void}} on
   */
  constructor(on) {
    this.#changed = on.changed;
    byId('enlarged-close').addEventListener('click', () => this.#dialog.close());
    byId('enlarged-previous').addEventListener('click', () => this.#go(-1));
    byId('enlarged-next').addEventListener('click', () => this.#go(1));
    byId('enlarged-save').addEventListener('click', on.save);
    for (const [id, act] of /** @type {const} */ ([['enlarged-use', on.use], ['enlarged-noise', on.noise]])) {
      byId(id).addEventListener('click', () => {
        const {which} = this;
        this.#dialog.close();
        act(this.index, which);
      });
    }
    this.#dialog.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'ArrowLeft') this.#go(-1);
      if (event.key === 'ArrowRight') this.#go(1);
    });
    this.#dialog.addEventListener('close', () => {
      this.which = 0;
    });
    // A click beside the dialog lands on the dialog itself.
    this.#dialog.addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
  }

  /** @param {boolean} isCompared whether there are two runs from now on */
  compare(isCompared) {
    this.#isCompared = isCompared;
    if (!isCompared) this.#runs.length = Math.min(1, this.#runs.length);
    this.which = Math.min(this.which, isCompared ? 1 : 0);
  }

  /**
   * A new run.
   * @param {number} which
   * @param {Frames} frames
   * @param {(k: number) => string} nameOf
   */
  setFrames(which, frames, nameOf) {
    this.#runs[which] = {frames, nameOf};
    this.index = Math.min(this.index, frames.count - 1);
    this.#drawn = '';
  }

  /**
   * @param {number} k
   * @param {number} which
   */
  open(k, which) {
    this.index = k;
    this.which = which;
    this.#drawn = '';
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#changed();
  }

  /**
   * @param {number} position
   * @param {'x_0' | 'x_t' | 'split'} show
   */
  draw(position, show) {
    const {frames, nameOf} = this.#runs[this.which] ?? {};
    if (!this.#dialog.open || !frames?.isImage) return;
    const at = Math.floor(position);
    const key = `${this.which} ${this.index} ${at} ${show} ${frames.version}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    const picture = pictureOf(frames, this.index, at, show);
    const size = sizeOf(frames.model);
    [this.#canvas.width, this.#canvas.height] = [size.width, size.height];
    if (picture) this.#canvas.getContext('2d').putImageData(toImageData(picture, size), 0, 0);
    const name = sampleName(this.index, nameOf?.(this.index) ?? '');
    byId('enlarged-title').textContent = this.#isCompared ? `${'AB'[this.which]}: ${name}` : name;
    const level = frames.noiseLevelAt(at);
    byId('enlarged-words').textContent = `Step ${at} of ${frames.numSteps}, ᾱ = ${(1 - level ** 2).toFixed(3)}, noise ${level.toFixed(3)}`;
    const isFinal = frames.isFinal[this.index] === 1;
    byId('enlarged-use').disabled = byId('enlarged-noise').disabled = !isFinal;
  }

  /** @param {number} by */
  #go(by) {
    const count = this.#runs[this.which]?.frames.count ?? 1;
    this.open((this.index + by + count) % count, this.which);
  }
}
