// @ts-check
/** Values in [-1, 1] and pixels in [0, 255]; layouts are channels × height × width and height × width × channels. */

/**
 * round(x · 127.5 + 127.5) clamped to [0, 255], in binary32 as the server computes it.
 * @param {number} x
 */
export function pixelOf(x) {
  const scaled = Math.fround(Math.fround(x * 127.5) + 127.5);
  if (!(scaled > 0)) return 0;
  return scaled >= 255 ? 255 : Math.floor(scaled + 0.5);
}

/**
 * @typedef {{channels: number, height: number, width: number}} Size
 */

/**
 * Values in the model's layout → pixels.
 * @param {Float32Array} values
 * @param {Size} size
 * @param {Uint8Array} pixels written
 */
export function toPixels(values, {channels, height, width}, pixels) {
  const plane = height * width;
  for (let channel = 0; channel < channels; channel += 1) {
    for (let at = 0; at < plane; at += 1) pixels[at * channels + channel] = pixelOf(values[channel * plane + at]);
  }
}

/**
 * Pixels → values in the model's layout.
 * @param {Uint8Array} pixels
 * @param {Size} size
 * @returns {Float32Array}
 */
export function toValues(pixels, {channels, height, width}) {
  const plane = height * width;
  const values = new Float32Array(channels * plane);
  for (let channel = 0; channel < channels; channel += 1) {
    for (let at = 0; at < plane; at += 1) values[channel * plane + at] = pixels[at * channels + channel] / 127.5 - 1;
  }
  return values;
}

/**
 * Draws a picture into RGBA words. Pictures of neither 1, 3 nor 4 channels show their first channel.
 * @param {Uint8Array} pixels
 * @param {number} offset where the picture begins in `pixels`
 * @param {Size} size
 * @param {Uint32Array} out little-endian RGBA
 * @param {number} at where the picture begins in `out`
 * @param {number} stride words of a row of `out`
 * @param {number} from first column to draw
 * @param {number} to column after the last
 */
export function blit(pixels, offset, {channels, height, width}, out, at, stride, from = 0, to = width) {
  const inColour = channels === 3 || channels === 4;
  for (let y = 0; y < height; y += 1) {
    let word = at + y * stride + from;
    let byte = offset + (y * width + from) * channels;
    for (let x = from; x < to; x += 1, byte += channels, word += 1) {
      const red = pixels[byte];
      out[word] = inColour
        ? 0xff000000 | (pixels[byte + 2] << 16) | (pixels[byte + 1] << 8) | red
        : 0xff000000 | (red << 16) | (red << 8) | red;
    }
  }
}
