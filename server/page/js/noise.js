// @ts-check
/**
 * The noise of the contract, layout `chacha8-boxmuller-2`: sampling.proto, at its end, says how it is made. With it,
 * the page knows x_T without asking, and its forward process has the noise of the model's own samples.
 */

/** The draw of the page's own forward process; no row of a program comes so far. */
export const FORWARD_DRAW = 2 ** 32 - 1;

/** "ddpm.v1/noise/chacha8-bm" as the words of the key after the seed. */
const LABEL = words('ddpm.v1/noise/chacha8-bm');
/** "expand 32-byte k" */
const SIGMA = words('expand 32-byte k');

/**
 * Fills `out` with the normal variates of (seed, index, draw).
 * @param {bigint} seed
 * @param {number} index of the sample
 * @param {number} draw 0 is x_T
 * @param {Float32Array} out
 */
export function fillNormal(seed, index, draw, out) {
  const input = new Uint32Array(16);
  input.set(SIGMA);
  input[4] = Number(seed & 0xffffffffn);
  input[5] = Number((seed >> 32n) & 0xffffffffn);
  input.set(LABEL, 6);
  input[13] = draw;
  input[14] = index >>> 0;
  input[15] = Math.floor(index / 2 ** 32);
  const block = new Uint32Array(16);
  for (let first = 0; first < out.length; first += 16) {
    input[12] = first / 16;
    chacha8(input, block);
    for (let k = 0; k < 16 && first + k < out.length; k += 2) {
      const radius = Math.sqrt(-2 * Math.log((block[k] + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * block[k + 1]) / 2 ** 32;
      out[first + k] = radius * Math.cos(angle);
      if (first + k + 1 < out.length) out[first + k + 1] = radius * Math.sin(angle);
    }
  }
}

/**
 * @param {Uint32Array} input
 * @param {Uint32Array} out
 */
function chacha8(input, out) {
  out.set(input);
  for (let round = 0; round < 4; round += 1) {
    quarter(out, 0, 4, 8, 12);
    quarter(out, 1, 5, 9, 13);
    quarter(out, 2, 6, 10, 14);
    quarter(out, 3, 7, 11, 15);
    quarter(out, 0, 5, 10, 15);
    quarter(out, 1, 6, 11, 12);
    quarter(out, 2, 7, 8, 13);
    quarter(out, 3, 4, 9, 14);
  }
  for (let k = 0; k < 16; k += 1) out[k] += input[k];
}

/**
 * @param {Uint32Array} x
 * @param {number} a
 * @param {number} b
 * @param {number} c
 * @param {number} d
 */
function quarter(x, a, b, c, d) {
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 16);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 12);
  x[a] += x[b];
  x[d] = rotate(x[d] ^ x[a], 8);
  x[c] += x[d];
  x[b] = rotate(x[b] ^ x[c], 7);
}

/**
 * @param {number} word
 * @param {number} by
 */
const rotate = (word, by) => (word << by) | (word >>> (32 - by));

/** @param {string} text */
function words(text) {
  const bytes = new TextEncoder().encode(text);
  return new Uint32Array(bytes.buffer, 0, bytes.length / 4);
}
