// @ts-check
/** One sample of a run as a picture, for files, the enlarged view and what starts from it. */

import {lookStep, pixels} from './grid-view.js';
import {blit} from './pixels.js';
import {X_0, X_T, sizeOf} from './wire.js';

/**
 * @param {import('./frames.js').Frames} frames
 * @param {number} k
 * @param {number} position
 * @param {'x_0' | 'x_t' | 'split'} show
 * @returns {Uint8Array | undefined} pixels; undefined if nothing was received
 */
export function pictureOf(frames, k, position, show) {
  if (show === 'split') return splitOf(frames, k, position);
  const kind = show === 'x_t' ? X_T : X_0;
  const step = lookStep(frames, kind, k, Math.floor(position));
  if (step < 0) return undefined;
  return pixels(frames, kind, step).subarray(k * frames.elements, (k + 1) * frames.elements);
}

/**
 * @param {import('./frames.js').Frames} frames
 * @param {number} k
 * @param {number} position
 */
function splitOf(frames, k, position) {
  const x_t = pictureOf(frames, k, position, 'x_t');
  const x_0 = pictureOf(frames, k, position, 'x_0');
  if (!x_t || !x_0) return x_t ?? x_0;
  const {channels, height, width} = sizeOf(frames.model);
  const half = Math.ceil(width / 2) * channels;
  const out = x_0.slice();
  for (let y = 0; y < height; y += 1) {
    const row = y * width * channels;
    out.set(x_t.subarray(row, row + half), row);
  }
  return out;
}

/**
 * RGBA of a picture, for a canvas.
 * @param {Uint8Array} picture
 * @param {import('./pixels.js').Size} size
 */
export function toImageData(picture, size) {
  const image = new ImageData(size.width, size.height);
  blit(picture, 0, size, new Uint32Array(image.data.buffer), 0, size.width);
  return image;
}
