// @ts-check
/**
 * Where in a run the view stands: following what arrives, still where a person put it, or playing.
 *
 * A position is a number of steps, with a fraction while it moves. Following is a little behind what arrives, so that
 * movement is even although steps arrive in bursts, and so that a run that takes no time can still be seen.
 */

/** Least milliseconds for the view to follow a whole run. */
const FOLLOW_MS = 1200;
/** How fast the view catches up: milliseconds for two thirds of the way. */
const CATCH_UP_MS = 70;
/** Milliseconds in which a whole run plays at speed 1. */
const PLAY_MS = 3000;
/** Milliseconds at the end before a loop begins again. */
const REST_MS = 900;
/** A pause of the page's drawing is not made up for. */
const LONGEST_TICK_MS = 100;

export class Playhead {
  position = 0;
  /** @type {'follow' | 'still' | 'play'} */
  mode = 'follow';
  speed = 1;
  /** 1 or -1. */
  direction = 1;
  loop = false;
  /** Whether steps change without movement. */
  isReduced = false;

  #last = 0;
  #restUntil = 0;

  /** Begins with a new run. */
  follow() {
    this.position = 0;
    this.mode = 'follow';
    this.#last = 0;
  }

  /**
   * Stands still at a step.
   * @param {number} position
   * @param {number} newest
   */
  put(position, newest) {
    this.mode = 'still';
    this.position = Math.max(0, Math.min(Math.round(position), newest));
  }

  /** @param {number} newest */
  playOrPause(newest) {
    if (this.mode === 'play') return this.put(this.position, newest);
    const end = this.direction > 0 ? newest : 0;
    const other = this.direction > 0 ? 0 : newest;
    if (this.position === end) this.position = other;
    this.mode = 'play';
    this.#last = 0;
    return undefined;
  }

  /** Whether samples may show a part of a step. */
  get isMoving() {
    return this.mode !== 'still' && !this.isReduced;
  }

  /**
   * Moves on.
   * @param {number} now in milliseconds
   * @param {number} newest step that was received
   * @param {number} numSteps of the run
   * @param {boolean} isOver whether nothing more will arrive
   * @returns {boolean} whether it needs another tick
   */
  tick(now, newest, numSteps, isOver) {
    const elapsed = this.#last === 0 ? 16 : Math.min(now - this.#last, LONGEST_TICK_MS);
    this.#last = now;
    if (this.mode === 'still') return false;
    if (this.mode === 'follow') return this.#followTo(newest, elapsed, numSteps, isOver);
    return this.#play(now, elapsed, newest, numSteps, isOver);
  }

  /**
   * @param {number} newest
   * @param {number} elapsed
   * @param {number} numSteps
   * @param {boolean} isOver
   */
  #followTo(newest, elapsed, numSteps, isOver) {
    const gap = newest - this.position;
    const most = (numSteps * elapsed) / FOLLOW_MS;
    const eager = gap * (1 - Math.exp(-elapsed / CATCH_UP_MS));
    this.position = this.isReduced || gap < 0.02 ? newest : this.position + Math.min(eager, most);
    if (this.position === newest && isOver) {
      this.mode = 'still';
      return false;
    }
    return this.position !== newest;
  }

  /**
   * @param {number} now
   * @param {number} elapsed
   * @param {number} newest
   * @param {number} numSteps
   * @param {boolean} isOver
   */
  #play(now, elapsed, newest, numSteps, isOver) {
    if (now < this.#restUntil) return true;
    this.position += (this.direction * this.speed * numSteps * elapsed) / PLAY_MS;
    const end = this.direction > 0 ? newest : 0;
    if ((end - this.position) * this.direction > 0) return true;
    this.position = end;
    if (this.direction > 0 && !isOver) return true;
    if (this.loop) {
      this.#restUntil = now + REST_MS;
      this.position = this.direction > 0 ? 0 : newest;
      return true;
    }
    this.mode = 'still';
    return false;
  }
}
