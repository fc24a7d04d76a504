// @ts-check
/**
 * Frames → an APNG file, the moving form of PNG: every colour is kept, and all browsers play it.
 *
 * PNG specification, third edition, section 11.3.6: https://www.w3.org/TR/png-3/
 */

import {chunk, compressed, concat, header, signature, textChunks} from './png.js';

/** Delays are in this part of a second. */
const DELAY_UNITS = 1000;
const LONGEST_DELAY = 65_535;

/**
 * Encodes frames of one size as APNG. Programs that know only PNG show the first.
 *
 * @param {object} animation
 * @param {number} animation.width in pixels
 * @param {number} animation.height in pixels
 * @param {number} animation.channels 1 (grey), 3 (RGB) or 4 (RGBA)
 * @param {(Uint8Array | Uint8ClampedArray)[]} animation.frames the pixels of each, in order
 * @param {number} animation.delayMs how long each is shown
 * @param {number} [animation.lastDelayMs] how long the last is shown
 * @param {number} [animation.loops] how often it plays; 0: for ever
 * @param {Record<string, string>} [animation.text] as in a PNG
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function encodeApng({
  width,
  height,
  channels,
  frames,
  delayMs,
  lastDelayMs = delayMs,
  loops = 0,
  text = {},
}) {
  if (frames.length === 0) {
    throw new RangeError('an animation needs at least one frame');
  }
  const parts = [
    signature(),
    header(width, height, channels),
    animationControl(frames.length, loops),
    ...textChunks(text),
  ];
  // Counts the chunks fcTL and fdAT together.
  let sequence = 0;
  for (const [position, pixels] of frames.entries()) {
    const delay = position === frames.length - 1 ? lastDelayMs : delayMs;
    parts.push(frameControl(sequence++, width, height, delay));
    const data = await compressed({width, height, channels, pixels});
    parts.push(position === 0 ? chunk('IDAT', data) : chunk('fdAT', uint32(sequence++), data));
  }
  return concat([...parts, chunk('IEND')]);
}

function animationControl(frames, loops) {
  return chunk('acTL', uint32(frames), uint32(loops));
}

/** A frame that replaces the whole picture. */
function frameControl(sequence, width, height, delayMs) {
  const data = new DataView(new ArrayBuffer(26));
  data.setUint32(0, sequence);
  data.setUint32(4, width);
  data.setUint32(8, height);
  data.setUint16(20, Math.min(Math.round(delayMs), LONGEST_DELAY));
  data.setUint16(22, DELAY_UNITS);
  return chunk('fcTL', data);
}

function uint32(value) {
  const data = new DataView(new ArrayBuffer(4));
  data.setUint32(0, value);
  return data;
}
