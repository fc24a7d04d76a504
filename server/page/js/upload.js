// @ts-check
/** A picture of the person's own, as an x_0 of the model's shape. */

import {announce} from './announce.js';
import {byId, setError} from './dom.js';
import {toImageData} from './looks.js';
import {sizeOf} from './wire.js';

/** @typedef {import('./wire.js').Model} Model */

/** Larger files are refused before they are decoded. */
const MOST_BYTES = 64 << 20;

/** A sentence for people about a picture. */
class PictureError extends Error {}

/**
 * Reads a picture: its middle, in the model's size and channels.
 * @param {Blob} file
 * @param {Model} model
 * @returns {Promise<Uint8Array>} pixels
 */
async function readPicture(file, model) {
  if (file.size > MOST_BYTES) throw new PictureError('This file is too large for a picture.');
  const {channels, height, width} = sizeOf(model);
  if (channels !== 1 && channels !== 3) throw new PictureError('Samples of this model are neither grey pictures nor coloured ones.');
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new PictureError('This file is damaged, or is not a picture that this browser can read.');
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const side = Math.min(bitmap.width / width, bitmap.height / height);
  const [across, down] = [side * width, side * height];
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = side !== 1;
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, (bitmap.width - across) / 2, (bitmap.height - down) / 2, across, down, 0, 0, width, height);
  bitmap.close();
  return toChannels(context.getImageData(0, 0, width, height).data, channels);
}

/**
 * @param {Uint8ClampedArray} rgba
 * @param {number} channels 1 or 3
 */
function toChannels(rgba, channels) {
  const pixels = new Uint8Array((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += channels) {
    if (channels === 3) pixels.set(rgba.subarray(from, from + 3), to);
    else pixels[to] = Math.round(0.299 * rgba[from] + 0.587 * rgba[from + 1] + 0.114 * rgba[from + 2]);
  }
  return pixels;
}

export class Upload {
  /** @type {Uint8Array | undefined} */
  picture;

  #drop = byId('drop');
  #input = byId('upload');
  #changed;
  /** @type {Model | undefined} */
  #model;

  /** @param {() => void} changed */
  constructor(changed) {
    this.#changed = changed;
    this.#input.addEventListener('change', () => {
      const [file] = this.#input.files;
      if (file) void this.take(file);
      this.#input.value = '';
    });
    for (const kind of ['dragenter', 'dragover']) {
      document.addEventListener(kind, (event) => this.#over(/** @type {DragEvent} */ (event), true));
    }
    document.addEventListener('dragleave', (event) => this.#over(event, false));
    document.addEventListener('drop', (event) => this.#dropped(event));
    document.addEventListener('paste', (event) => this.#taken(event, event.clipboardData));
    byId('upload-clear').addEventListener('click', () => this.set(undefined));
  }

  /**
   * Another model: its pictures have another shape.
   * @param {Model} model
   */
  setModel(model) {
    this.#model = model;
    if (this.picture?.length !== model.shape.reduce((a, b) => a * b, 1)) this.picture = undefined;
    this.#show();
  }

  /** @param {Uint8Array | undefined} picture */
  set(picture) {
    this.picture = picture;
    setError('upload', '');
    this.#show();
    this.#changed();
  }

  /** @param {Blob} file */
  async take(file) {
    const model = this.#model;
    if (!model || byId('editing').hidden) return announce('This model draws no pictures: choose another model first.', {isUrgent: true});
    try {
      this.set(await readPicture(file, model));
      announce('The picture is ready: Generate starts from it.');
    } catch (error) {
      const sentence = error instanceof PictureError ? error.message : 'This picture cannot be read.';
      setError('upload', sentence);
      announce(sentence, {isUrgent: true});
    }
    return undefined;
  }

  /**
   * @param {DragEvent} event
   * @param {boolean} isOver
   */
  #over(event, isOver) {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    this.#drop.classList.toggle('over', isOver);
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    this.#drop.classList.remove('over');
    this.#taken(event, event.dataTransfer);
  }

  /**
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #taken(event, data) {
    const file = data?.files[0];
    if (!file) return;
    event.preventDefault();
    void this.take(file);
  }

  #show() {
    const {picture} = this;
    this.#drop.querySelector('canvas')?.remove();
    byId('upload-clear').hidden = !picture;
    this.#drop.querySelector('.drop-words').textContent = picture ? 'Drop another picture, or choose one' : 'Drop a picture, or choose one';
    if (!picture || !this.#model) return;
    const size = sizeOf(this.#model);
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [size.width, size.height];
    canvas.setAttribute('aria-hidden', 'true');
    canvas.getContext('2d')?.putImageData(toImageData(picture, size), 0, 0);
    this.#drop.prepend(canvas);
  }
}
