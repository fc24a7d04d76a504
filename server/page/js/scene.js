// @ts-check
/**
 * What is seen of the runs: their samples, the playhead over what was received, the noise level. Draws when something
 * changed, at most once per frame of the screen.
 */

import {Difference} from './difference.js';
import {byId} from './dom.js';
import {Enlarged} from './enlarged.js';
import {NoisePlot} from './noise-plot.js';
import {Playhead} from './playhead.js';
import {Stage} from './stage.js';
import {Status} from './status.js';
import {Timeline} from './timeline.js';

/** @typedef {import('./run.js').Run} Run */

/** Milliseconds between two changes of the words beside the picture, and between drawings nobody sees. */
const WORDS_MS = 120;
const HIDDEN_MS = 250;

export class Scene {
  /** What was asked for last: one run, or two that are compared. @type {Run[]} */
  asked = [];
  /** What is seen: what was asked for last, or before it while nothing of that has arrived. @type {Run[]} */
  runs = [];
  head = new Playhead();
  timeline;
  stage;
  enlarged;

  #stageB;
  #difference = new Difference(byId('difference'));
  #plot = new NoisePlot();
  #status;
  #settled;
  #isWaiting = false;
  #wordsAt = 0;
  #hasPreview = false;
  #isSettled = true;

  /**
   * @param {import('./contract.js').Contract} contract
   * @param {{settled: (runs: Run[]) => void, use: (k: number, which: number) => void, noise: (k: number, which: number) => void, save: () => void}} on
   *     settled: the runs are over and drawn
   */
  constructor(contract, on) {
    this.#settled = on.settled;
    this.#status = new Status(contract);
    const changed = () => this.invalidate();
    this.timeline = new Timeline(this.head, changed);
    this.enlarged = new Enlarged({...on, changed});
    this.stage = new Stage(byId('view'), byId('cells'), (k) => this.enlarged.open(k, 0));
    this.#stageB = new Stage(byId('view-b'), byId('cells-b'), (k) => this.enlarged.open(k, 1));
    this.#followTheme();
  }

  /**
   * New runs begin; what was drawn stays until something of them arrives.
   * @param {Run[]} runs
   */
  begin(runs) {
    this.asked = runs;
    this.#isSettled = false;
    this.#wordsAt = 0;
    this.#status.reset();
    this.invalidate();
  }

  /**
   * Frames of a run exist.
   * @param {Run} run
   * @param {(k: number) => string} nameOf a sample's class
   */
  show(run, nameOf) {
    const frames = /** @type {import('./frames.js').Frames} */ (run.frames);
    if (this.runs !== this.asked) this.#turnTo(this.asked);
    const which = this.runs.indexOf(run);
    const stage = which === 0 ? this.stage : this.#stageB;
    stage.setNames(nameOf);
    stage.setFrames(frames);
    this.enlarged.setFrames(which, frames, nameOf);
  }

  /**
   * The step at which a run is shown: runs that are compared are at the same share of their steps.
   * @param {number} which
   */
  positionOf(which) {
    const [a, its] = [this.runs[0]?.frames, this.runs[which]?.frames];
    return a && its && a !== its ? (this.head.position / a.numSteps) * its.numSteps : this.head.position;
  }

  /** @param {Run[]} runs */
  #turnTo(runs) {
    this.runs = runs;
    this.head.follow();
    this.#hasPreview = false;
    const isCompared = runs.length > 1;
    for (const id of ['stage-b', 'stage-difference']) byId(id).hidden = !isCompared;
    byId('difference').hidden = true;
    this.enlarged.compare(isCompared);
    byId('caption-a').hidden = !isCompared;
    this.layOut();
  }

  /** Draws soon. */
  invalidate() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const draw = (/** @type {number} */ now) => {
      this.#isWaiting = false;
      this.#draw(now);
    };
    if (document.hidden) setTimeout(() => draw(performance.now()), HIDDEN_MS);
    else requestAnimationFrame(draw);
  }

  /** The page has another size, or other colours. */
  layOut() {
    this.stage.layOut();
    this.#stageB.layOut();
    this.#plot.setColours();
    this.#plot.layOut();
    this.invalidate();
  }

  /** @param {number} now */
  #draw(now) {
    const [a, b] = this.runs.map((run) => run.frames);
    const {newest, numSteps} = this.#received();
    const isReceived = this.runs.every((run) => run.isOver);
    const goesOn = this.head.tick(now, newest, numSteps, isReceived);
    const drew = a ? this.#drawFrames(a, b) : false;
    this.timeline.draw(newest, numSteps, isReceived);
    this.#plot.draw(a, b, this.head.position);
    if (drew) this.#dispatch(newest);
    const isOver = this.asked.every((run) => run.isOver);
    this.#words(now, isOver && (this.runs !== this.asked || this.head.mode !== 'follow'));
    if (goesOn || !isOver) this.invalidate();
  }

  /**
   * @param {import('./frames.js').Frames} a
   * @param {import('./frames.js').Frames | undefined} b
   */
  #drawFrames(a, b) {
    const {position, isMoving} = this.head;
    const {show} = this.timeline;
    let drew = this.stage.draw(position, show, isMoving);
    if (b) {
      const positionB = this.positionOf(1);
      drew = this.#stageB.draw(positionB, show, isMoving) || drew;
      if (drew) this.#drawDifference(a, b, position, positionB, show);
    }
    this.enlarged.draw(this.positionOf(this.enlarged.which), show);
    return drew;
  }

  /**
   * @param {import('./frames.js').Frames} a
   * @param {import('./frames.js').Frames} b
   * @param {number} positionA
   * @param {number} positionB
   * @param {'x_0' | 'x_t' | 'split'} show
   */
  #drawDifference(a, b, positionA, positionB, show) {
    const mean = this.#difference.draw(a, b, positionA, positionB, show);
    byId('difference').hidden = mean === undefined;
    const words = mean === undefined ? 'These models’ samples cannot be compared' : this.#differenceWords(mean, a.isImage);
    const caption = byId('caption-difference');
    if (caption.textContent !== words) caption.textContent = words;
  }

  /**
   * @param {number} mean
   * @param {boolean} isImage
   */
  #differenceWords(mean, isImage) {
    if (!isImage) return `A and B are ${mean.toFixed(2)} apart on average`;
    const {gain} = this.#difference;
    return `|A − B|${gain > 1 ? ` × ${gain}` : ''}, on average ${(100 * mean).toFixed(1)} % of the range`;
  }

  /** The step up to which all runs were received, in steps of the first. */
  #received() {
    const frames = this.runs.map((run) => run.frames);
    const [a, b] = frames;
    if (!a) return {newest: 0, numSteps: 0};
    if (this.runs.length === 1) return {newest: a.newest, numSteps: a.numSteps};
    const share = b ? b.newest / b.numSteps : 0;
    return {newest: Math.min(a.newest, share * a.numSteps), numSteps: a.numSteps};
  }

  /** @param {number} newest */
  #dispatch(newest) {
    document.dispatchEvent(new CustomEvent('ddpm:draw'));
    if (this.#hasPreview || newest === 0) return;
    this.#hasPreview = true;
    document.dispatchEvent(new CustomEvent('ddpm:first-preview'));
  }

  /**
   * @param {number} now
   * @param {boolean} isSettled
   */
  #words(now, isSettled) {
    if (this.asked.length === 0) return;
    const settles = isSettled && !this.#isSettled;
    if (!settles && now - this.#wordsAt < WORDS_MS) return;
    this.#wordsAt = now;
    const state = this.#state(isSettled);
    this.#status.show(this.asked, state);
    if (this.head.mode === 'still') this.#plot.describe(this.runs[0]?.frames, this.head.position);
    if (!settles) return;
    this.#isSettled = true;
    this.#settled(this.asked);
    document.dispatchEvent(new CustomEvent('ddpm:end'));
  }

  /**
   * The state of the runs together. They are done only when what is seen is what they ended with.
   * @param {boolean} isSettled
   * @returns {import('./run.js').RunState}
   */
  #state(isSettled) {
    const states = this.asked.map((run) => run.state);
    for (const state of /** @type {const} */ (['failed', 'interrupted', 'cancelled'])) {
      if (states.includes(state)) return state;
    }
    if (isSettled) return 'done';
    return states.every((state) => state === 'waiting') ? 'waiting' : 'running';
  }

  #followTheme() {
    const reduced = matchMedia('(prefers-reduced-motion: reduce)');
    const setReduced = () => {
      this.head.isReduced = reduced.matches;
    };
    setReduced();
    reduced.addEventListener('change', setReduced);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.layOut());
    const observer = new ResizeObserver(() => this.layOut());
    observer.observe(byId('stages'));
    observer.observe(byId('noise-plot'));
  }
}
