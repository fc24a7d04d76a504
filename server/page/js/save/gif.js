// @ts-check
/**
 * Frames → a GIF file, which everything plays. Up to 256 colours are exact; more are brought down to
 * 256 for all frames together.
 *
 * GIF89a specification: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */

import {concat, latin1} from './png.js';

const MOST_COLOURS = 256;
/** Codes have at most 12 bits. */
const MOST_CODES = 4096;
const MOST_BITS = 12;
/** Browsers slow down what is faster. */
const SHORTEST_DELAY_MS = 20;

/**
 * Encodes frames of one size as GIF. Lets the page draw between frames.
 *
 * @param {object} animation
 * @param {number} animation.width in pixels, at most 65,535
 * @param {number} animation.height in pixels, at most 65,535
 * @param {number} animation.channels 1 (grey), 3 (RGB) or 4 (RGBA; A is ignored)
 * @param {(Uint8Array | Uint8ClampedArray)[]} animation.frames the pixels of each, in order
 * @param {number} animation.delayMs how long each is shown, rounded to 10 ms
 * @param {number} [animation.lastDelayMs] how long the last is shown
 * @param {number} [animation.loops] how often it plays; 0: for ever
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function encodeGif({
  width,
  height,
  channels,
  frames,
  delayMs,
  lastDelayMs = delayMs,
  loops = 0,
}) {
  check(width, height, channels, frames);
  const {palette, indexOf} = exactPalette(frames, channels) ?? reducedPalette(frames, channels);
  const bits = Math.max(1, Math.ceil(Math.log2(palette.length)));
  const parts = [head(width, height, bits), colourTable(palette, bits), ...repetition(loops)];
  for (const [position, pixels] of frames.entries()) {
    const delay = position === frames.length - 1 ? lastDelayMs : delayMs;
    const indices = paletteIndices(pixels, channels, indexOf);
    parts.push(frameHead(width, height, delay), imageData(indices, Math.max(2, bits)));
    await new Promise((resolve) => setTimeout(resolve));
  }
  return concat([...parts, latin1(';')]);
}

function check(width, height, channels, frames) {
  const size = width * height * channels;
  if (frames.length === 0 || frames.some((pixels) => pixels.length !== size)) {
    throw new RangeError(
      `a GIF needs frames of ${width} x ${height} pixels in ${channels} channels`,
    );
  }
  if (Math.max(width, height) > 65_535) {
    throw new RangeError('a GIF has at most 65535 pixels a side: choose a smaller scale');
  }
}

/** A colour as a number, 0xRRGGBB. */
function colourAt(pixels, start, channels) {
  const red = pixels[start];
  return channels === 1
    ? red * 0x010101
    : (red << 16) | (pixels[start + 1] << 8) | pixels[start + 2];
}

/**
 * Finds the palette that has every colour of all frames.
 *
 * @returns {{palette: number[], indexOf: (colour: number) => number} | undefined} nothing if there
 *     are more than 256
 */
function exactPalette(frames, channels) {
  const places = new Map();
  for (const pixels of frames) {
    let previous = -1;
    for (let start = 0; start < pixels.length; start += channels) {
      const colour = colourAt(pixels, start, channels);
      if (colour !== previous && !places.has(colour)) {
        if (places.size === MOST_COLOURS) {
          return undefined;
        }
        places.set(colour, places.size);
      }
      previous = colour;
    }
  }
  return {palette: [...places.keys()], indexOf: (colour) => places.get(colour)};
}

/**
 * Chooses 256 colours for all frames: boxes of the colour space are cut where colours vary most, and
 * each gives its mean. Colours are told apart by 5 bits per channel.
 */
function reducedPalette(frames, channels) {
  const bins = occupiedBins(frames, channels);
  const boxes = [statistics(bins)];
  while (boxes.length < MOST_COLOURS) {
    const widest = boxes.reduce((a, b) => (b.variation > a.variation ? b : a));
    if (widest.variation === 0) {
      break;
    }
    boxes.splice(boxes.indexOf(widest), 1, ...cut(widest).map(statistics));
  }
  const palette = boxes.map(({mean: [red, green, blue]}) => (red << 16) | (green << 8) | blue);
  const nearest = new Uint8Array(1 << 15);
  for (const bin of bins) {
    nearest[bin.key] = nearestColour(bin.colour, boxes);
  }
  return {palette, indexOf: (colour) => nearest[binOf(colour)]};
}

function binOf(colour) {
  return ((colour >> 9) & 0x7c00) | ((colour >> 6) & 0x3e0) | ((colour >> 3) & 0x1f);
}

/** The bins that have pixels, with how many and their mean colour. */
function occupiedBins(frames, channels) {
  const counts = new Uint32Array(1 << 15);
  const sums = new Float64Array(3 << 15);
  for (const pixels of frames) {
    for (let start = 0; start < pixels.length; start += channels) {
      const colour = colourAt(pixels, start, channels);
      const key = binOf(colour);
      counts[key] += 1;
      sums[3 * key] += colour >> 16;
      sums[3 * key + 1] += (colour >> 8) & 0xff;
      sums[3 * key + 2] += colour & 0xff;
    }
  }
  const keys = [...counts.keys()].filter((key) => counts[key] > 0);
  return keys.map((key) => {
    const count = counts[key];
    return {key, count, colour: [0, 1, 2].map((channel) => sums[3 * key + channel] / count)};
  });
}

/** A box of bins, with its mean and the channel that varies most (sum of squares). */
function statistics(bins) {
  const count = bins.reduce((sum, bin) => sum + bin.count, 0);
  const [mean, squares] = [[0, 0, 0], [0, 0, 0]];
  for (const channel of [0, 1, 2]) {
    for (const bin of bins) {
      mean[channel] += (bin.count * bin.colour[channel]) / count;
    }
    for (const bin of bins) {
      squares[channel] += bin.count * (bin.colour[channel] - mean[channel]) ** 2;
    }
  }
  const channel = squares.indexOf(Math.max(...squares));
  // One bin cannot be cut, whatever rounding says.
  const variation = bins.length > 1 ? squares[channel] : 0;
  return {bins, mean: mean.map(Math.round), at: mean[channel], channel, variation};
}

/** Cuts a box in two at the mean of its widest channel. */
function cut({bins, channel, at}) {
  const below = bins.filter((bin) => bin.colour[channel] < at);
  const above = bins.filter((bin) => bin.colour[channel] >= at);
  return [below, above];
}

function nearestColour(colour, boxes) {
  let best = 0;
  let least = Infinity;
  boxes.forEach(({mean}, place) => {
    const distance =
      (colour[0] - mean[0]) ** 2 + (colour[1] - mean[1]) ** 2 + (colour[2] - mean[2]) ** 2;
    if (distance < least) {
      [best, least] = [place, distance];
    }
  });
  return best;
}

function paletteIndices(pixels, channels, indexOf) {
  const indices = new Uint8Array(pixels.length / channels);
  // Enlarged pixels are runs of one colour.
  let [previous, index] = [-1, 0];
  for (let place = 0; place < indices.length; place += 1) {
    const colour = colourAt(pixels, place * channels, channels);
    if (colour !== previous) {
      [previous, index] = [colour, indexOf(colour)];
    }
    indices[place] = index;
  }
  return indices;
}

/** Signature and logical screen, with a global colour table of 2^bits colours. */
function head(width, height, bits) {
  const screen = new DataView(new ArrayBuffer(7));
  screen.setUint16(0, width, true);
  screen.setUint16(2, height, true);
  screen.setUint8(4, 0x80 | ((bits - 1) << 4) | (bits - 1));
  return concat([latin1('GIF89a'), screen]);
}

function colourTable(palette, bits) {
  const table = new Uint8Array(3 << bits);
  palette.forEach((colour, place) => {
    table.set([colour >> 16, (colour >> 8) & 0xff, colour & 0xff], 3 * place);
  });
  return table;
}

/** The extension of Netscape counts how often it plays again. */
function repetition(loops) {
  if (loops === 1) {
    return [];
  }
  const again = Math.min(Math.max(loops - 1, 0), 65_535);
  const counter = Uint8Array.of(3, 1, again & 0xff, again >> 8, 0);
  return [Uint8Array.of(0x21, 0xff, 11), latin1('NETSCAPE2.0'), counter];
}

/** Graphic control, which has the delay, and image descriptor. */
function frameHead(width, height, delayMs) {
  const bytes = new DataView(new ArrayBuffer(18));
  // The frame stays under the next one; nothing is transparent.
  [0x21, 0xf9, 4, 0x04].forEach((byte, place) => bytes.setUint8(place, byte));
  const delay = Math.round(Math.max(delayMs, SHORTEST_DELAY_MS) / 10);
  bytes.setUint16(4, Math.min(delay, 65_535), true);
  bytes.setUint8(8, 0x2c);
  bytes.setUint16(13, width, true);
  bytes.setUint16(15, height, true);
  return bytes;
}

/** Compresses a frame and splits it into blocks of at most 255 bytes. */
function imageData(indices, bits) {
  const codes = lzw(indices, bits);
  const parts = [Uint8Array.of(bits)];
  for (let start = 0; start < codes.length; start += 255) {
    const block = codes.subarray(start, start + 255);
    parts.push(Uint8Array.of(block.length), block);
  }
  return concat([...parts, Uint8Array.of(0)]);
}

/**
 * LZW as in appendix F of the specification: each code stands for a row of pixels seen before.
 *
 * @param {Uint8Array} indices the pixels
 * @param {number} bits of a pixel
 */
function lzw(indices, bits) {
  const clear = 1 << bits;
  const end = clear + 1;
  const out = new BitWriter(indices.length);
  // The code of a row (high bits) with one more pixel (low byte); 0: not seen.
  const longer = new Uint16Array(MOST_CODES << 8);
  let next = end + 1;
  let width = bits + 1;
  out.write(clear, width);
  let row = indices[0];
  for (let place = 1; place < indices.length; place += 1) {
    const pixel = indices[place];
    const known = longer[(row << 8) | pixel];
    if (known) {
      row = known;
      continue;
    }
    out.write(row, width);
    if (next === MOST_CODES) {
      out.write(clear, width);
      longer.fill(0);
      next = end + 1;
      width = bits + 1;
    } else {
      if (next === 1 << width) {
        width += 1;
      }
      longer[(row << 8) | pixel] = next;
      next += 1;
    }
    row = pixel;
  }
  out.write(row, width);
  // The reader knows one row more now, and may have gone to the next width.
  out.write(end, next === 1 << width && width < MOST_BITS ? width + 1 : width);
  return out.finish();
}

/** Bits, the lowest first, into bytes. */
class BitWriter {
  #bytes;
  #length = 0;
  #pending = 0;
  #count = 0;

  /** @param {number} pixels each takes 12 bits at most, and so does the clear code before 4,094 of them */
  constructor(pixels) {
    this.#bytes = new Uint8Array(2 * pixels + 16);
  }

  write(code, width) {
    this.#pending |= code << this.#count;
    this.#count += width;
    while (this.#count >= 8) {
      this.#bytes[this.#length++] = this.#pending & 0xff;
      this.#pending >>>= 8;
      this.#count -= 8;
    }
  }

  finish() {
    if (this.#count > 0) {
      this.#bytes[this.#length++] = this.#pending;
    }
    return this.#bytes.subarray(0, this.#length);
  }
}
