// @ts-check
/** What samples start from, before anything is received: the page can draw the server's noise itself. */

import {fillNormal} from './noise.js';
import {toPixels} from './pixels.js';
import {mixAt, noiseLevelAt} from './schedule.js';
import {startStates} from './settings.js';
import {elementsOf, isImage, sizeOf} from './wire.js';

/** Elements up to which drawing the noise takes no time that could be felt. */
const MOST_ELEMENTS = 1 << 18;

/**
 * Shows the start of a run as its step 0.
 * @param {import('./frames.js').Frames} frames
 * @param {import('./settings.js').Settings} settings
 * @param {import('./wire.js').Model} model
 */
export function showStart(frames, settings, model) {
  const elements = elementsOf(model);
  if (frames.count * elements > MOST_ELEMENTS) return;
  const block = isImage(model) ? new Uint8Array(frames.count * elements) : new Float32Array(frames.count * elements);
  const {picture, cloud, from, inpaint} = settings;
  if (from !== undefined && (picture || cloud)) fillStates(block, settings, model);
  else if (picture && !inpaint) fillPicture(block, picture);
  else fillNoise(block, settings.seed, elements, model);
  const level = from !== undefined ? noiseLevelAt(model, from) : picture && !inpaint ? NaN : 1;
  frames.setStart(block, level);
}

/**
 * @param {import('./frames.js').Block} block
 * @param {Uint8Array} picture
 */
function fillPicture(block, picture) {
  for (let at = 0; at < block.length; at += picture.length) block.set(picture, at);
}

/**
 * @param {import('./frames.js').Block} block
 * @param {bigint} seed
 * @param {number} elements
 * @param {import('./wire.js').Model} model
 */
function fillNoise(block, seed, elements, model) {
  const noise = new Float32Array(elements);
  for (let at = 0, k = 0; at < block.length; at += elements, k += 1) {
    fillNormal(seed, k, 0, noise);
    place(noise, model, block, at);
  }
}

/**
 * @param {import('./frames.js').Block} block
 * @param {import('./settings.js').Settings} settings
 * @param {import('./wire.js').Model} model
 */
function fillStates(block, settings, model) {
  const {signal, noise} = mixAt(model, settings.from ?? 0);
  const scale = model.edm ? 1 / Math.hypot(signal, noise) : 1;
  startStates(settings, model).forEach((state, k) => place(state.map((x) => x * scale), model, block, k * state.length));
}

/**
 * @param {Float32Array} values
 * @param {import('./wire.js').Model} model
 * @param {import('./frames.js').Block} block
 * @param {number} at
 */
function place(values, model, block, at) {
  if (isImage(model)) toPixels(values, sizeOf(model), /** @type {Uint8Array} */ (block).subarray(at, at + values.length));
  else block.set(values, at);
}
