// @ts-check
/** The brush: what is painted is drawn anew, the rest of the picture stays. */

import {byId, cssColour} from './dom.js';
import {toImageData} from './looks.js';

/** @typedef {import('./pixels.js').Size} Size */

/** Pixels of the canvas for one of the picture, at most so many in all. */
const SIDE = 512;

export class Mask {
  /** 1 where the picture is known. */
  known = new Uint8Array(0);

  #canvas = byId('mask');
  #context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext('2d'));
  #brush = byId('brush-size');
  #changed;
  /** @type {Size} */
  #size = {channels: 3, height: 1, width: 1};
  /** @type {ImageData | undefined} */
  #picture;
  #cursor = {x: 0, y: 0};
  /** Where the pointer was, while it paints. @type {{x: number, y: number} | undefined} */
  #last;
  #erases = false;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    const canvas = this.#canvas;
    canvas.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => this.#press(event));
    canvas.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => this.#move(event));
    for (const kind of ['pointerup', 'pointercancel']) canvas.addEventListener(kind, () => this.#release());
    canvas.addEventListener('contextmenu', (/** @type {Event} */ event) => event.preventDefault());
    canvas.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => this.#key(event));
    for (const kind of ['focus', 'blur']) canvas.addEventListener(kind, () => this.draw());
    byId('mask-clear').addEventListener('click', () => this.#each(() => 1));
    byId('mask-invert').addEventListener('click', () => this.#each((one) => 1 - one));
  }

  /**
   * @param {Uint8Array} picture
   * @param {Size} size
   * @param {Uint8Array | undefined} known undefined: as before if it fits, else all
   */
  show(picture, size, known) {
    const area = size.width * size.height;
    if (known?.length === area) this.known = known.slice();
    else if (this.known.length !== area) this.known = new Uint8Array(area).fill(1);
    this.#size = size;
    this.#picture = toImageData(picture, size);
    this.#cursor = {x: Math.floor(size.width / 2), y: Math.floor(size.height / 2)};
    this.draw();
  }

  /** Whether nothing is painted. */
  get isBlank() {
    return this.known.every((one) => one === 1);
  }

  draw() {
    const {width, height} = this.#size;
    if (!this.#picture) return;
    const scale = Math.max(1, Math.floor(SIDE / Math.max(width, height)));
    const context = this.#context;
    [this.#canvas.width, this.#canvas.height] = [width * scale, height * scale];
    const small = new OffscreenCanvas(width, height);
    small.getContext('2d')?.putImageData(this.#picture, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, width * scale, height * scale);
    this.#drawPainted(context, scale);
    if (document.activeElement !== this.#canvas) return;
    const reach = Number(this.#brush.value) * scale;
    context.strokeStyle = cssColour('--accent');
    context.lineWidth = 3;
    context.strokeRect((this.#cursor.x + 0.5) * scale - reach / 2, (this.#cursor.y + 0.5) * scale - reach / 2, reach, reach);
  }

  /**
   * Painted places are veiled and hatched, so that no picture hides them.
   * @param {CanvasRenderingContext2D} context
   * @param {number} scale
   */
  #drawPainted(context, scale) {
    const {width} = this.#size;
    context.lineWidth = Math.max(1, scale / 10);
    context.strokeStyle = '#fff';
    context.fillStyle = 'rgb(18 20 30 / .72)';
    context.beginPath();
    this.known.forEach((one, at) => {
      if (one) return;
      const [x, y] = [(at % width) * scale, Math.floor(at / width) * scale];
      context.fillRect(x, y, scale, scale);
      context.moveTo(x, y + scale);
      context.lineTo(x + scale, y);
    });
    context.stroke();
  }

  /** @param {(one: number) => number} of */
  #each(of) {
    this.known = this.known.map(of);
    this.draw();
    this.#changed();
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#last = this.#at(event);
    this.#erases = event.button === 2 || event.shiftKey;
    this.#paint(this.#last, this.#erases);
    this.draw();
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#last) return;
    const [from, to] = [this.#last, this.#at(event)];
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y)));
    for (let k = 1; k <= steps; k += 1) {
      this.#paint({x: from.x + ((to.x - from.x) * k) / steps, y: from.y + ((to.y - from.y) * k) / steps}, this.#erases);
    }
    this.#last = to;
    this.draw();
  }

  #release() {
    if (!this.#last) return;
    this.#last = undefined;
    this.#changed();
  }

  /**
   * The pixel of the picture under the pointer.
   * @param {PointerEvent} event
   */
  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.#size.width - 0.5,
      y: ((event.clientY - box.top) / box.height) * this.#size.height - 0.5,
    };
  }

  /**
   * @param {{x: number, y: number}} centre
   * @param {boolean} erases
   */
  #paint(centre, erases) {
    const {width, height} = this.#size;
    const radius = Number(this.#brush.value) / 2;
    for (let y = Math.ceil(centre.y - radius); y <= centre.y + radius; y += 1) {
      for (let x = Math.ceil(centre.x - radius); x <= centre.x + radius; x += 1) {
        if (x < 0 || y < 0 || x >= width || y >= height) continue;
        if (Math.hypot(x - centre.x, y - centre.y) <= radius) this.known[y * width + x] = erases ? 1 : 0;
      }
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    const paints = event.key === ' ' || event.key === 'Enter';
    const erases = event.key === 'Delete' || event.key === 'Backspace';
    if (!move && !paints && !erases) return;
    event.preventDefault();
    const {width, height} = this.#size;
    if (move) {
      this.#cursor.x = Math.max(0, Math.min(width - 1, this.#cursor.x + move[0]));
      this.#cursor.y = Math.max(0, Math.min(height - 1, this.#cursor.y + move[1]));
    } else {
      this.#paint(this.#cursor, erases);
      this.#changed();
    }
    const {x, y} = this.#cursor;
    byId('mask-words').textContent = `column ${x + 1}, row ${y + 1}, ${this.known[y * width + x] ? 'known' : 'drawn anew'}`;
    this.draw();
  }
}
