// @ts-check
/**
 * Lines and dots drawn into RGBA words, without a canvas: thousands of short lines a frame cost less this way, and the
 * same positions give the same picture everywhere.
 */

/** @typedef {[number, number, number]} Colour red, green, blue from 0 to 255 */

export class Raster {
  /**
   * @param {Uint32Array} words little-endian RGBA
   * @param {number} width
   * @param {number} height
   */
  constructor(words, width, height) {
    this.words = words;
    this.width = width;
    this.height = height;
  }

  /**
   * Mixes a colour into a pixel.
   * @param {number} x
   * @param {number} y
   * @param {Colour} colour
   * @param {number} alpha from 0 to 1
   */
  mix(x, y, [red, green, blue], alpha) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return;
    const at = y * this.width + x;
    const old = this.words[at];
    const weight = (alpha * 256) | 0;
    const r = old & 255;
    const g = (old >>> 8) & 255;
    const b = (old >>> 16) & 255;
    this.words[at] = 0xff000000
      | ((b + (((blue - b) * weight) >> 8)) << 16)
      | ((g + (((green - g) * weight) >> 8)) << 8)
      | (r + (((red - r) * weight) >> 8));
  }

  /**
   * A thin smooth line: two pixels for each step along its longer side, by their distance from it.
   * @param {number} x0
   * @param {number} y0
   * @param {number} x1
   * @param {number} y1
   * @param {Colour} colour
   * @param {number} alpha
   */
  line(x0, y0, x1, y1, colour, alpha) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const isSteep = Math.abs(dy) > Math.abs(dx);
    const length = Math.max(Math.abs(dx), Math.abs(dy));
    // Neither NaN, of what was not received, nor far outside.
    if (!(length < 8192)) return;
    const steps = Math.max(1, Math.round(length));
    for (let k = 0; k < steps; k += 1) {
      const x = x0 + (dx * k) / steps;
      const y = y0 + (dy * k) / steps;
      const across = isSteep ? x : y;
      const low = Math.floor(across);
      const share = across - low;
      if (isSteep) {
        const row = Math.round(y);
        this.mix(low, row, colour, alpha * (1 - share));
        this.mix(low + 1, row, colour, alpha * share);
      } else {
        const column = Math.round(x);
        this.mix(column, low, colour, alpha * (1 - share));
        this.mix(column, low + 1, colour, alpha * share);
      }
    }
  }

  /**
   * A smooth dot.
   * @param {number} x
   * @param {number} y
   * @param {number} radius
   * @param {Colour} colour
   * @param {number} alpha
   */
  dot(x, y, radius, colour, alpha) {
    if (!(Math.abs(x) < 8192 && Math.abs(y) < 8192)) return;
    const reach = Math.ceil(radius + 0.5);
    const [left, top] = [Math.round(x) - reach, Math.round(y) - reach];
    for (let row = top; row <= top + 2 * reach; row += 1) {
      for (let column = left; column <= left + 2 * reach; column += 1) {
        const inside = radius + 0.5 - Math.hypot(column - x, row - y);
        if (inside > 0) this.mix(column, row, colour, alpha * Math.min(1, inside));
      }
    }
  }
}
