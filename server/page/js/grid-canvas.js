// @ts-check
/** Many small pictures on one canvas, one pixel of the canvas for each of theirs; style makes them larger. */

/** Pixels between pictures. */
const GAP = 1;

/** @typedef {import('./pixels.js').Size} Size */
/** @typedef {{columns: number, rows: number, scale: number}} Arrangement `scale`: CSS pixels per pixel */

/**
 * The arrangement in which pictures are largest, in whole device pixels where they fit.
 * @param {number} count
 * @param {{width: number, height: number}} size of a picture
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {number} density device pixels per CSS pixel
 * @returns {Arrangement}
 */
export function arrange(count, size, box, density) {
  let best = {columns: 1, rows: count, scale: 0};
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const across = (box.width * density) / (columns * (size.width + GAP) - GAP);
    const down = (box.height * density) / (rows * (size.height + GAP) - GAP);
    const fits = Math.min(across, down);
    const scale = (fits >= 1 ? Math.floor(fits) : fits) / density;
    // Of arrangements of one scale, the most square one, and full rows before ragged ones.
    const isBetter = scale > best.scale
      || (scale === best.scale && Math.abs(columns * size.width - rows * size.height) < Math.abs(best.columns * size.width - best.rows * size.height));
    if (isBetter) best = {columns, rows, scale};
  }
  return best;
}

export class GridCanvas {
  /** @type {Size} */
  size = {channels: 3, height: 1, width: 1};
  count = 0;
  /** @type {Arrangement} */
  arrangement = {columns: 1, rows: 1, scale: 1};
  /** RGBA, little-endian. */
  words = new Uint32Array(1);
  /** Words of a row. */
  stride = 1;

  #canvas;
  #context;
  /** @type {ImageData | undefined} */
  #image;
  #top = Infinity;
  #bottom = 0;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  }

  /**
   * @param {number} count
   * @param {Size} size
   * @param {{width: number, height: number}} box
   * @returns {boolean} whether the canvas is blank now
   */
  arrange(count, size, box) {
    const found = arrange(count, size, box, devicePixelRatio || 1);
    const width = found.columns * (size.width + GAP) - GAP;
    const height = found.rows * (size.height + GAP) - GAP;
    this.#canvas.style.width = `${width * found.scale}px`;
    this.#canvas.style.height = `${height * found.scale}px`;
    this.#canvas.classList.toggle('smooth', found.scale * (devicePixelRatio || 1) < 1);
    this.arrangement = found;
    const isSame = this.#canvas.width === width && this.#canvas.height === height && this.#image?.width === width
      && this.#image.height === height && this.count === count && this.size.channels === size.channels && this.size.width === size.width;
    if (isSame) return false;
    this.count = count;
    this.size = size;
    this.#canvas.width = width;
    this.#canvas.height = height;
    this.#image = this.#context.createImageData(width, height);
    this.words = new Uint32Array(this.#image.data.buffer);
    this.stride = width;
    return true;
  }

  /**
   * The first word of picture k.
   * @param {number} k
   */
  cell(k) {
    const {columns} = this.arrangement;
    const row = Math.floor(k / columns);
    return row * (this.size.height + GAP) * this.stride + (k % columns) * (this.size.width + GAP);
  }

  /**
   * Place and extent of picture k in CSS pixels.
   * @param {number} k
   */
  place(k) {
    const {columns, scale} = this.arrangement;
    const {width, height} = this.size;
    return {
      left: (k % columns) * (width + GAP) * scale,
      top: Math.floor(k / columns) * (height + GAP) * scale,
      width: width * scale,
      height: height * scale,
    };
  }

  /**
   * Notes that picture k changed.
   * @param {number} k
   */
  touch(k) {
    const top = Math.floor(k / this.arrangement.columns) * (this.size.height + GAP);
    this.#top = Math.min(this.#top, top);
    this.#bottom = Math.max(this.#bottom, top + this.size.height);
  }

  /** Makes picture k transparent. @param {number} k */
  clear(k) {
    const at = this.cell(k);
    for (let y = 0; y < this.size.height; y += 1) {
      this.words.fill(0, at + y * this.stride, at + y * this.stride + this.size.width);
    }
  }

  /**
   * Shows what changed.
   * @returns {boolean} whether anything did
   */
  show() {
    if (!this.#image || this.#bottom === 0) return false;
    this.#context.putImageData(this.#image, 0, 0, 0, this.#top, this.stride, this.#bottom - this.#top);
    this.#top = Infinity;
    this.#bottom = 0;
    return true;
  }
}
