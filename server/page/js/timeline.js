// @ts-check
/** The controls of the playhead: play, step, drag, speed, loop, and what is shown. */

import {byId, isPressed, setIcon, setPressed} from './dom.js';

/** @typedef {import('./playhead.js').Playhead} Playhead */
/** @typedef {'x_0' | 'x_t' | 'split'} Show */

export class Timeline {
  #head;
  #changed;
  #range = byId('timeline');
  #play = byId('play');
  #step = byId('step');
  #newest = 0;
  #drawn = '';

  /**
   * @param {Playhead} head
   * @param {() => void} changed called when the view must be drawn again
   */
  constructor(head, changed) {
    this.#head = head;
    this.#changed = changed;
    this.#range.addEventListener('input', () => this.#put(Number(this.#range.value)));
    this.#play.addEventListener('click', () => this.playOrPause());
    byId('step-back').addEventListener('click', () => this.#put(Math.ceil(head.position) - 1));
    byId('step-forward').addEventListener('click', () => this.#put(Math.floor(head.position) + 1));
    this.#toggle('loop', (on) => {
      head.loop = on;
    });
    this.#toggle('reverse', (on) => {
      head.direction = on ? -1 : 1;
    });
    byId('speed').addEventListener('change', () => {
      head.speed = Number(byId('speed').value);
    });
    byId('show').addEventListener('change', changed);
    document.addEventListener('keydown', (event) => this.#key(event));
  }

  /** @returns {Show} */
  get show() {
    const chosen = document.querySelector('input[name="show"]:checked');
    return /** @type {Show} */ (/** @type {HTMLInputElement} */ (chosen).value);
  }

  /** @param {Show} show */
  setShow(show) {
    byId(`show-${show}`).checked = true;
  }

  playOrPause() {
    this.#head.playOrPause(this.#newest);
    this.#changed();
  }

  /**
   * Shows where the playhead stands.
   * @param {number} newest
   * @param {number} numSteps
   * @param {boolean} isOver whether all samples are finished: until then, some are behind the step that is shown
   */
  draw(newest, numSteps, isOver) {
    const head = this.#head;
    this.#newest = newest;
    const at = Math.floor(head.position);
    const playing = head.mode === 'play';
    const key = `${at} ${newest} ${numSteps} ${playing} ${isOver}`;
    if (this.#drawn === key) return;
    this.#drawn = key;
    const most = Math.floor(newest);
    this.#range.max = String(most);
    this.#range.value = String(at);
    this.#range.style.width = `${numSteps ? (100 * most) / numSteps : 0}%`;
    const words = numSteps ? `${isOver ? '' : 'up to '}step ${at} of ${numSteps}` : 'no steps yet';
    this.#range.setAttribute('aria-valuetext', words);
    this.#step.textContent = numSteps ? (isOver ? `${at} / ${numSteps}` : `up to step ${at}`) : '–';
    const label = playing ? 'Pause' : 'Play';
    if (this.#play.getAttribute('aria-label') !== label) {
      this.#play.setAttribute('aria-label', label);
      setIcon(this.#play, label.toLowerCase());
    }
  }

  /** @param {number} position */
  #put(position) {
    this.#head.put(position, this.#newest);
    this.#changed();
  }

  /**
   * @param {string} id
   * @param {(on: boolean) => void} set
   */
  #toggle(id, set) {
    const button = byId(id);
    button.addEventListener('click', () => {
      setPressed(button, !isPressed(button));
      set(isPressed(button));
      this.#changed();
    });
  }

  /**
   * Keys work where nothing else needs them: on the page itself and in the picture area, there also on the timeline and
   * on the choice of what is shown.
   * @param {KeyboardEvent} event
   */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const isHere = target === document.body || target.closest('.picture');
    const keepsItsKeys = target.closest('input:not([type="range"], [type="radio"]), select, textarea, dialog, [role="application"]');
    if (!isHere || keepsItsKeys || event.ctrlKey || event.metaKey || event.altKey) return;
    const isButton = target.closest('button');
    if (event.key === ' ' && !isButton) this.playOrPause();
    else if (event.key === 'ArrowLeft') this.#put(Math.ceil(this.#head.position) - 1);
    else if (event.key === 'ArrowRight') this.#put(Math.floor(this.#head.position) + 1);
    else if (event.key === 'Home') this.#put(0);
    else if (event.key === 'End') this.#put(this.#newest);
    else if (event.key === 'x') this.#nextShow();
    else return;
    event.preventDefault();
  }

  #nextShow() {
    const shows = /** @type {Show[]} */ (['x_t', 'x_0', 'split']);
    this.setShow(shows[(shows.indexOf(this.show) + 1) % shows.length]);
    byId('show').dispatchEvent(new Event('change'));
  }
}
