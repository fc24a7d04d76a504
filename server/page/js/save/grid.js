// @ts-check
/**
 * Samples → one picture, as the command `ddpm sample` arranges them.
 */

/** Grey level between and around the samples. */
const BACKGROUND = 32;

/**
 * Arranges samples in rows, left to right.
 *
 * @param {object} grid
 * @param {number} grid.width of a sample in pixels
 * @param {number} grid.height of a sample in pixels
 * @param {number} grid.channels 1 (grey), 3 (RGB) or 4 (RGBA)
 * @param {(Uint8Array | Uint8ClampedArray | null | undefined)[]} grid.samples the pixels of each;
 *     places without stay empty
 * @param {number} [grid.columns] nearly square if absent
 * @param {number} [grid.gap] pixels between and around the samples
 * @param {number} [grid.scale] side of the square that each pixel becomes
 * @returns {{width: number, height: number, channels: number, pixels: Uint8Array<ArrayBuffer>}}
 */
export function tile({
  width,
  height,
  channels,
  samples,
  columns = columnsFor(samples.length),
  gap = 1,
  scale = 1,
}) {
  const rows = Math.ceil(samples.length / columns);
  const canvas = {
    width: columns * (width * scale + gap) + gap,
    height: rows * (height * scale + gap) + gap,
    channels,
  };
  const pixels = background(canvas);
  samples.forEach((sample, position) => {
    if (sample) {
      const x = gap + (position % columns) * (width * scale + gap);
      const y = gap + Math.floor(position / columns) * (height * scale + gap);
      paste(sample, {width, height, channels}, pixels, canvas.width, {x, y, scale});
    }
  });
  return {...canvas, pixels};
}

/**
 * The smallest number of columns that is at least the number of rows.
 *
 * @param {number} count
 */
export function columnsFor(count) {
  return Math.max(1, Math.ceil(Math.sqrt(count)));
}

function background({width, height, channels}) {
  const pixels = new Uint8Array(width * height * channels).fill(BACKGROUND);
  if (channels === 4) {
    for (let alpha = 3; alpha < pixels.length; alpha += 4) {
      pixels[alpha] = 255;
    }
  }
  return pixels;
}

/** Copies a sample into the canvas with its upper left corner at column x, row y. */
function paste(sample, {width, height, channels}, pixels, canvasWidth, {x, y, scale}) {
  const line = new Uint8Array(width * scale * channels);
  for (let row = 0; row < height; row += 1) {
    for (let i = 0; i < line.length; i += 1) {
      const column = Math.floor(i / channels / scale);
      line[i] = sample[(row * width + column) * channels + (i % channels)];
    }
    for (let copy = 0; copy < scale; copy += 1) {
      pixels.set(line, ((y + row * scale + copy) * canvasWidth + x) * channels);
    }
  }
}
