// @ts-check
/**
 * Pixels → a PNG file, without a canvas: exact in every byte, grey stays grey, and the receipt travels
 * along as text.
 *
 * PNG specification, third edition: https://www.w3.org/TR/png-3/
 */

/**
 * @typedef {object} Picture
 * @property {number} width in pixels
 * @property {number} height in pixels
 * @property {number} channels 1 (grey), 3 (RGB) or 4 (RGBA)
 * @property {Uint8Array | Uint8ClampedArray} pixels row by row, `channels` bytes each
 */

/** By channels. */
const COLOUR_TYPES = {1: 0, 3: 2, 4: 6};

/**
 * Encodes a picture as PNG.
 *
 * @param {Picture & {text?: Record<string, string>}} picture `text`: keywords (1 to 79 Latin-1
 *     characters) and their values
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function encodePng({width, height, channels, pixels, text = {}}) {
  return concat([
    signature(),
    header(width, height, channels),
    ...textChunks(text),
    chunk('IDAT', await compressed({width, height, channels, pixels})),
    chunk('IEND'),
  ]);
}

/** The eight bytes that every PNG starts with. */
export function signature() {
  return Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
}

/** The chunk IHDR of a picture with 8 bits per channel. */
export function header(width, height, channels) {
  const colourType = COLOUR_TYPES[channels];
  if (colourType === undefined) {
    throw new RangeError(`a PNG has 1, 3 or 4 channels, not ${channels}`);
  }
  const data = new DataView(new ArrayBuffer(13));
  data.setUint32(0, width);
  data.setUint32(4, height);
  data.setUint8(8, 8);
  data.setUint8(9, colourType);
  return chunk('IHDR', data);
}

/**
 * Text chunks as the command `ddpm` writes them: tEXt, which every reader supports, if the value is
 * ASCII, else iTXt.
 *
 * @param {Record<string, string>} text
 */
export function textChunks(text) {
  return Object.entries(text).map(([keyword, value]) => {
    if (!/^[!-~\xa1-\xff]([ -~\xa1-\xff]{0,77}[!-~\xa1-\xff])?$/.test(keyword)) {
      throw new RangeError(`"${keyword}" cannot be a keyword of a PNG`);
    }
    const name = latin1(keyword);
    const bytes = new TextEncoder().encode(value);
    // A NUL ends the keyword. In iTXt: not compressed, no language, no translated keyword.
    return bytes.length === value.length
      ? chunk('tEXt', name, Uint8Array.of(0), bytes)
      : chunk('iTXt', name, Uint8Array.of(0, 0, 0, 0, 0), bytes);
  });
}

/**
 * Returns the content of IDAT: rows, each behind the number of its filter, in a zlib stream.
 *
 * @param {Picture} picture
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function compressed({width, height, channels, pixels}) {
  if (pixels.length !== width * height * channels) {
    throw new RangeError(
      `${pixels.length} bytes do not make ${width} x ${height} pixels in ${channels} channels`,
    );
  }
  const rows = filtered(pixels, width * channels, channels);
  const stream = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Filters every row with the filter whose differences are least in sum: section 12.7 of the
 * specification. Repeated rows of enlarged pixels become zeros.
 */
function filtered(pixels, stride, channels) {
  const rows = new Uint8Array((pixels.length / stride) * (stride + 1));
  const candidates = FILTERS.map(() => new Uint8Array(stride));
  let above = new Uint8Array(stride);
  for (let start = 0, out = 0; start < pixels.length; start += stride, out += stride + 1) {
    const row = pixels.subarray(start, start + stride);
    let best = 0;
    let least = Infinity;
    candidates.forEach((candidate, number) => {
      FILTERS[number](row, above, channels, candidate);
      const sum = sumOfDifferences(candidate);
      if (sum < least) {
        [best, least] = [number, sum];
      }
    });
    rows[out] = best;
    rows.set(candidates[best], out + 1);
    above = row;
  }
  return rows;
}

/**
 * By their numbers in the file: none, sub, up, average, Paeth. The byte to the left is that of the
 * same channel; left of the first pixel and above the first row is 0.
 */
const FILTERS = [
  (row, _above, _channels, out) => out.set(row),
  (row, _above, channels, out) => {
    for (let i = 0; i < row.length; i += 1) {
      out[i] = row[i] - (i < channels ? 0 : row[i - channels]);
    }
  },
  (row, above, _channels, out) => {
    for (let i = 0; i < row.length; i += 1) {
      out[i] = row[i] - above[i];
    }
  },
  (row, above, channels, out) => {
    for (let i = 0; i < row.length; i += 1) {
      const left = i < channels ? 0 : row[i - channels];
      out[i] = row[i] - ((left + above[i]) >> 1);
    }
  },
  (row, above, channels, out) => {
    for (let i = 0; i < row.length; i += 1) {
      const first = i < channels;
      out[i] = row[i] - paeth(first ? 0 : row[i - channels], above[i], first ? 0 : above[i - channels]);
    }
  },
];

/** Whichever of the three is closest to left + above - corner. */
function paeth(left, above, corner) {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) {
    return left;
  }
  return toAbove <= toCorner ? above : corner;
}

/** Bytes count as signed here: 255 is a difference of 1. */
function sumOfDifferences(bytes) {
  let sum = 0;
  for (const byte of bytes) {
    sum += byte < 128 ? byte : 256 - byte;
  }
  return sum;
}

/**
 * A chunk: length, kind, data, checksum.
 *
 * @param {string} kind four letters
 * @param {...ArrayBufferView} parts its data
 */
export function chunk(kind, ...parts) {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const bytes = concat([new Uint8Array(4), latin1(kind), ...parts, new Uint8Array(4)]);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, length);
  view.setUint32(8 + length, crc32(bytes.subarray(4, 8 + length)));
  return bytes;
}

/**
 * Joins bytes.
 *
 * @param {ArrayBufferView[]} parts
 */
export function concat(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  return bytes;
}

/** The bytes of a text whose characters are all below 256. */
export function latin1(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** CRC-32 as in section 5.5 of the specification. */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({length: 256}, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  }
  return crc;
});
