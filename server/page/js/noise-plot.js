// @ts-check
/** The noise level by step, with a marker where the view stands. */

import {byId, cssColour} from './dom.js';

/** @typedef {import('./frames.js').Frames} Frames */

const MARGIN = {left: 26, right: 8, top: 6, bottom: 14};

export class NoisePlot {
  #canvas = byId('noise-plot');
  #context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
  #colours = {line: '', accent: '', quiet: '', other: ''};
  #drawn = '';
  #said = '';

  /** Reads the colours of the theme again. */
  setColours() {
    this.#colours = {line: cssColour('--line'), accent: cssColour('--accent'), quiet: cssColour('--quiet'), other: cssColour('--points-other')};
    this.#drawn = '';
  }

  /** The size of the plot changed. */
  layOut() {
    const scale = devicePixelRatio || 1;
    this.#canvas.width = Math.round(this.#canvas.clientWidth * scale);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * scale);
    this.#drawn = '';
  }

  /**
   * @param {Frames | undefined} frames
   * @param {Frames | undefined} other of the run beside it
   * @param {number} position
   */
  draw(frames, other, position) {
    const key = `${frames?.newest} ${other?.newest} ${position.toFixed(2)} ${frames?.numSteps}`;
    if (this.#drawn === key || this.#canvas.width === 0) return;
    this.#drawn = key;
    const scale = devicePixelRatio || 1;
    const [width, height] = [this.#canvas.width / scale, this.#canvas.height / scale];
    const context = this.#context;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#axes(width, height);
    if (!frames) return;
    if (other) this.#curve(other, width, height, this.#colours.other, [3, 3]);
    this.#curve(frames, width, height, this.#colours.accent, []);
    this.#marker(frames, position, width, height);
  }

  /**
   * Says what is shown; only when the view stands still, since it is read out.
   * @param {Frames | undefined} frames
   * @param {number} position
   */
  describe(frames, position) {
    const words = frames
      ? `Noise level by step: ${frames.noiseLevelAt(position).toFixed(2)} at step ${Math.floor(position)} of ${frames.numSteps}`
      : 'Noise level by step';
    if (words !== this.#said) this.#canvas.setAttribute('aria-label', words);
    this.#said = words;
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #axes(width, height) {
    const context = this.#context;
    const bottom = height - MARGIN.bottom;
    context.setLineDash([]);
    context.strokeStyle = this.#colours.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const y of [MARGIN.top, bottom]) {
      context.moveTo(MARGIN.left, y + 0.5);
      context.lineTo(width - MARGIN.right, y + 0.5);
    }
    context.stroke();
    context.fillStyle = this.#colours.quiet;
    context.font = '10.5px system-ui, sans-serif';
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    context.fillText('1', MARGIN.left - 6, MARGIN.top + 1);
    context.fillText('0', MARGIN.left - 6, bottom);
    context.textAlign = 'left';
    context.textBaseline = 'alphabetic';
    context.fillText('noise by step', MARGIN.left, height - 2);
  }

  /**
   * @param {Frames} frames
   * @param {number} width
   * @param {number} height
   * @param {string} colour
   * @param {number[]} dash
   */
  #curve(frames, width, height, colour, dash) {
    const context = this.#context;
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    for (let step = 0; step <= frames.numSteps; step += 1) {
      const level = frames.noiseLevels[step];
      if (!Number.isNaN(level)) context.lineTo(x(step / frames.numSteps, width), y(level, height));
    }
    context.stroke();
  }

  /**
   * @param {Frames} frames
   * @param {number} position
   * @param {number} width
   * @param {number} height
   */
  #marker(frames, position, width, height) {
    const context = this.#context;
    const at = x(position / frames.numSteps, width);
    const level = frames.noiseLevelAt(position);
    context.setLineDash([]);
    context.strokeStyle = this.#colours.quiet;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(at, MARGIN.top);
    context.lineTo(at, height - MARGIN.bottom);
    context.stroke();
    context.fillStyle = this.#colours.accent;
    context.beginPath();
    context.arc(at, y(level, height), 3.5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = this.#colours.quiet;
    context.textAlign = 'right';
    context.fillText(level.toFixed(3), width - MARGIN.right, height - 2);
  }
}

/**
 * @param {number} share
 * @param {number} width
 */
const x = (share, width) => MARGIN.left + share * (width - MARGIN.left - MARGIN.right);

/**
 * @param {number} level
 * @param {number} height
 */
const y = (level, height) => MARGIN.top + (1 - level) * (height - MARGIN.top - MARGIN.bottom);
