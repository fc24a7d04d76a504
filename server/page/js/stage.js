// @ts-check
/** Where the samples of one run are shown, as a grid or as points. */

import {GridView} from './grid-view.js';
import {PointsView} from './points-view.js';
import {cssColour} from './dom.js';
import {counted, sampleName} from './words.js';

/** @typedef {import('./frames.js').Frames} Frames */
/** @typedef {'x_0' | 'x_t' | 'split'} Show */

/** More samples than this have no button each. */
const MOST_CELLS = 1024;

export class Stage {
  /** @type {Frames | undefined} */
  frames;

  #holder;
  #canvas;
  #cells;
  #grid;
  #points;
  /** Names of the classes of samples, for their buttons. @type {(k: number) => string} */
  #nameOf = () => '';

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement | undefined} cells for buttons over the samples
   * @param {(k: number) => void} open called with the sample of a button
   */
  constructor(canvas, cells, open) {
    this.#canvas = canvas;
    this.#cells = cells;
    this.#holder = /** @type {HTMLElement} */ (canvas.parentElement);
    this.#grid = new GridView(canvas);
    this.#points = new PointsView(canvas, palette());
    cells?.addEventListener('click', (event) => {
      const cell = /** @type {HTMLElement} */ (event.target).closest('.cell');
      if (cell instanceof HTMLElement) open(Number(cell.dataset.index));
    });
    cells?.addEventListener('keydown', (event) => this.#move(event));
  }

  /** @param {(k: number) => string} nameOf */
  setNames(nameOf) {
    this.#nameOf = nameOf;
  }

  /** @param {Frames} frames */
  setFrames(frames) {
    this.frames = frames;
    this.#canvas.classList.remove('smooth');
    this.#view.setFrames(frames, this.#box);
    this.#layOutCells();
    const {model} = frames;
    this.#canvas.setAttribute('aria-label', `${counted(frames.count, frames.isImage ? 'sample' : 'point')} of ${model.name}`);
  }

  /** The page has another size, or other colours. */
  layOut() {
    this.#points.setPalette(palette());
    if (!this.frames) return;
    this.#view.layOut(this.#box);
    this.#layOutCells();
  }

  /**
   * @param {number} position
   * @param {Show} show
   * @param {boolean} isMoving
   * @returns {boolean} whether anything new was drawn
   */
  draw(position, show, isMoving) {
    if (!this.frames) return false;
    return this.frames.isImage ? this.#grid.draw(position, show, isMoving) : this.#points.draw(isMoving ? position : Math.floor(position), show);
  }

  /** Columns of the grid. */
  get columns() {
    return this.#grid.grid.arrangement.columns;
  }

  /** For drawing points to files. */
  get points() {
    return this.#points;
  }

  /** @returns {GridView | PointsView} */
  get #view() {
    return this.frames?.isImage ? this.#grid : this.#points;
  }

  get #box() {
    return {width: this.#holder.clientWidth, height: this.#holder.clientHeight};
  }

  #layOutCells() {
    const cells = this.#cells;
    if (!cells || !this.frames) return;
    const count = this.frames.isImage && this.frames.count <= MOST_CELLS ? this.frames.count : 0;
    cells.style.width = this.#canvas.style.width;
    cells.style.height = this.#canvas.style.height;
    cells.hidden = count === 0;
    while (cells.children.length > count) cells.lastChild?.remove();
    while (cells.children.length < count) cells.append(newCell(cells.children.length));
    for (let k = 0; k < count; k += 1) {
      const cell = /** @type {HTMLElement} */ (cells.children[k]);
      const place = this.#grid.grid.place(k);
      for (const side of /** @type {const} */ (['left', 'top', 'width', 'height'])) cell.style[side] = `${place[side]}px`;
      const name = sampleName(k, this.#nameOf(k));
      cell.title = name;
      cell.setAttribute('aria-label', name);
    }
  }

  /**
   * Arrow keys move between samples; one of them is in the order of the Tab key.
   * @param {KeyboardEvent} event
   */
  #move(event) {
    const cells = /** @type {HTMLElement} */ (this.#cells);
    const at = [...cells.children].indexOf(/** @type {Element} */ (document.activeElement));
    const {columns} = this;
    const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: cells.children.length - 1 - at};
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    const next = cells.children[at + (step ?? NaN)];
    if (at < 0 || step === undefined || !(next instanceof HTMLElement)) return;
    event.preventDefault();
    event.stopPropagation();
    /** @type {HTMLElement} */ (cells.children[at]).tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** @param {number} k */
function newCell(k) {
  const cell = document.createElement('button');
  cell.type = 'button';
  cell.className = 'cell';
  cell.dataset.index = String(k);
  cell.tabIndex = k === 0 ? 0 : -1;
  return cell;
}

/** The colours of points, from the style sheet. */
function palette() {
  const read = (/** @type {string} */ name) => rgb(cssColour(`--points-${name}`));
  return {ground: read('ground'), density: read('density'), point: read('point'), trail: read('trail'), other: read('other')};
}

/**
 * @param {string} hex such as `#0a0b0f`
 * @returns {import('./raster.js').Colour}
 */
function rgb(hex) {
  const number = parseInt(hex.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}
