// @ts-check
/** What the buttons under "Save" do: samples, grids, animations, numbers and the receipt as files. */

import {announce} from './announce.js';
import {byId} from './dom.js';
import {pictureOf} from './looks.js';
import {encodeApng} from './save/apng.js';
import {describe} from './save/description.js';
import {download} from './save/download.js';
import {encodeGif} from './save/gif.js';
import {tile} from './save/grid.js';
import {encodeNpy} from './save/npy.js';
import {encodePng} from './save/png.js';
import {sizeOf} from './wire.js';

/** @typedef {{run: import('./run.js').Run, frames: import('./frames.js').Frames, position: number, show: 'x_0' | 'x_t' | 'split', columns: number, index: number, points: import('./points-view.js').PointsView, name: '' | 'A' | 'B'}} View `name`: of the run, if two are compared */

/** Frames of an animation. */
const MOST_FRAMES = 64;
const ANIMATION_MS = 3000;
const LAST_MS = 1500;
/** Samples in grids are at least so wide. */
const LEAST_WIDTH = 64;
/** Pixels of a side of a picture of points. */
const POINTS_SIDE = 512;
/** Milliseconds in which the page is drawn, before a file takes all of its time. */
const DRAWN_MS = 40;

export class Saving {
  #view;
  #contract;

  /**
   * @param {import('./contract.js').Contract} contract
   * @param {() => View | undefined} view what is shown; undefined if nothing is
   */
  constructor(contract, view) {
    this.#contract = contract;
    this.#view = view;
    this.#on('png', (one) => this.#png(one));
    this.#on('grid', (one) => this.#grid(one));
    this.#on('gif', async (one) => {
      await making('GIF');
      const film = animation(one);
      save(await encodeGif(film), one, 'gif', 'image/gif', film);
    });
    this.#on('apng', async (one) => {
      await making('APNG');
      const film = animation(one);
      save(await encodeApng({...film, text: this.#text(one)}), one, 'apng.png', 'image/apng', film);
    });
    this.#on('npy', (one) => save(encodeNpy(arrayOf(one)), one, 'npy', 'application/octet-stream'));
    this.#on('receipt', (one) => save(this.#receipt(one), one, 'receipt.json', 'application/json'));
  }

  /** Saves the sample that was enlarged last. */
  savePng() {
    byId('save-png').click();
  }

  /**
   * @param {string} name
   * @param {(view: View) => void | Promise<void>} act
   */
  #on(name, act) {
    const button = byId(`save-${name}`);
    button.addEventListener('click', async () => {
      const view = this.#view();
      if (!view) return announce('There is nothing to save yet.');
      button.disabled = true;
      try {
        await act(view);
      } catch (error) {
        announce(`This could not be saved: ${error instanceof Error ? error.message : error}.`, {isUrgent: true});
      }
      button.disabled = false;
      return undefined;
    });
  }

  /** @param {View} view */
  async #png(view) {
    if (!view.frames.isImage) return this.#grid(view);
    const picture = pictureOf(view.frames, view.index, view.position, view.show);
    if (!picture) throw new Error('the sample has not been received');
    const text = this.#text(view, String(view.index));
    const size = shown(view);
    return save(await encodePng({...size, pixels: savable(picture, view), text}), view, `${view.index}.png`, 'image/png', size);
  }

  /** @param {View} view */
  async #grid(view) {
    const text = this.#text(view);
    const picture = pictureAt(view, view.position);
    save(await encodePng({...picture, text}), view, 'grid.png', 'image/png', picture);
  }

  /**
   * @param {View} view
   * @param {string} indices
   */
  #text({run, frames}, indices = `0-${frames.count - 1}`) {
    const values = (/** @type {string} */ name) => this.#contract.values(name);
    const label = frames.model.classNames[run.receipt.classLabels[Number(indices) % run.receipt.classLabels.length]];
    return describe({receipt: run.receipt, samplers: frames.model.samplers, values, indices, label: label ?? ''});
  }

  /** @param {View} view */
  #receipt({run}) {
    return `${JSON.stringify(this.#contract.toJson('Receipt', run.receipt), null, 2)}\n`;
  }
}

/**
 * Size of a sample as it is saved: grey, RGB, or the first channel of anything else.
 * @param {View} view
 */
function shown({frames}) {
  const {channels, height, width} = sizeOf(frames.model);
  return {width, height, channels: channels === 3 ? 3 : 1};
}

/**
 * @param {Uint8Array} picture
 * @param {View} view
 */
function savable(picture, {frames}) {
  const {channels} = sizeOf(frames.model);
  return channels === 1 || channels === 3 ? picture : picture.filter((_, at) => at % channels === 0);
}

/**
 * All samples at a position, as one picture.
 * @param {View} view
 * @param {number} position
 */
function pictureAt(view, position) {
  const {frames, show, columns, points} = view;
  if (!frames.isImage) return {width: POINTS_SIDE, height: POINTS_SIDE, channels: 4, pixels: points.pixelsAt(POINTS_SIDE, position, show)};
  const samples = Array.from({length: frames.count}, (_, k) => {
    const picture = pictureOf(frames, k, position, show);
    return picture && savable(picture, view);
  });
  const size = shown(view);
  return tile({...size, samples, columns, scale: Math.max(1, Math.floor(LEAST_WIDTH / size.width))});
}

/** @param {View} view */
function animation(view) {
  const {frames} = view;
  const every = Math.max(1, Math.ceil(frames.newest / MOST_FRAMES));
  const positions = [];
  for (let at = frames.newest; at >= 0; at -= every) positions.unshift(at);
  const pictures = positions.map((at) => pictureAt(view, at));
  const {width, height, channels} = pictures[0];
  const delayMs = Math.max(20, Math.round(ANIMATION_MS / pictures.length));
  return {width, height, channels, frames: pictures.map(({pixels}) => pixels), delayMs, lastDelayMs: LAST_MS};
}

/**
 * The finished samples: at the model's scale and in its layout, or as pixels if that is how they came.
 * @param {View} view
 */
function arrayOf({frames}) {
  if (frames.finished < frames.count) throw new Error('not all samples are finished');
  const [count, shape] = [frames.count, frames.model.shape];
  if (frames.values) return {shape: [count, ...shape], data: frames.values};
  const {channels, height, width} = sizeOf(frames.model);
  return {shape: [count, height, width, channels], data: /** @type {Uint8Array} */ (frames.block(1, frames.finalStep))};
}

/**
 * Says that a file is made, which may take a while.
 * @param {string} what
 * @returns {Promise<void>} when it has been said
 */
function making(what) {
  announce(`Making ${what} …`);
  return new Promise((resolve) => {
    setTimeout(resolve, DRAWN_MS);
  });
}

/**
 * @param {Uint8Array<ArrayBuffer> | string} bytes
 * @param {View} view
 * @param {string} ending
 * @param {string} mediaType
 * @param {{width: number, height: number} | undefined} size of a picture
 */
function save(bytes, {run, name: runName}, ending, mediaType, size = undefined) {
  const name = `${run.receipt.model.replace(/[^\w.-]/g, '_')}-${run.receipt.seed}.${ending}`;
  download(bytes, name, mediaType);
  const extent = size ? `, ${size.width} × ${size.height} pixels` : '';
  announce(`Saved ${name}${extent}${runName ? `: run ${runName}` : ''}.`);
}
