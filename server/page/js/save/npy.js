// @ts-check
/**
 * Numbers → a .npy file, as NumPy's `load` reads it.
 *
 * Format, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */

import {concat, latin1} from './png.js';

/** Magic, version and the length of the header. */
const PREFIX = 10;
/** Data begin at a multiple of this. */
const ALIGNMENT = 64;

/**
 * Encodes an array in C order.
 *
 * @param {object} array
 * @param {number[]} array.shape
 * @param {Float32Array | Uint8Array | Uint8ClampedArray} array.data all elements, the last axis first;
 *     typed arrays are little-endian on every machine that browsers run on
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeNpy({shape, data}) {
  const size = shape.reduce((product, side) => product * side, 1);
  if (size !== data.length) {
    throw new RangeError(`${data.length} elements do not have the shape [${shape.join(', ')}]`);
  }
  const kind = data instanceof Float32Array ? '<f4' : '|u1';
  // Python writes a tuple of one as (3,).
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const entries = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${sides}), }`;
  const whole = Math.ceil((PREFIX + entries.length + 1) / ALIGNMENT) * ALIGNMENT;
  const header = `${entries.padEnd(whole - PREFIX - 1)}\n`;
  const version = Uint8Array.of(1, 0, header.length & 0xff, header.length >> 8);
  return concat([latin1('\x93NUMPY'), version, latin1(header), data]);
}
