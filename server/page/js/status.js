// @ts-check
/** What a run does, in words: its place, what is left, how fast it is, who else asks the server. */

import {byId} from './dom.js';
import {counted, duration, whole} from './words.js';

/** @typedef {import('./run.js').Run} Run */

/** Milliseconds between two readings of how busy the server is. */
const LOAD_MS = 1000;

export class Status {
  #contract;
  #sharing = '';
  #askedAt = 0;

  /** @param {import('./contract.js').Contract} contract */
  constructor(contract) {
    this.#contract = contract;
  }

  /** A new run begins. */
  reset() {
    this.#sharing = '';
    this.#askedAt = performance.now();
  }

  /**
   * @param {Run[]} runs one, or two that are compared
   * @param {import('./run.js').RunState} state as it is shown
   */
  show(runs, state) {
    const element = byId('run-status');
    if (element.dataset.state !== state) element.dataset.state = state;
    const words = this.#words(runs, state);
    const place = byId('run-words');
    if (place.textContent !== words) place.textContent = words;
    if (state === 'running' || state === 'waiting') this.#askForLoad(runs);
  }

  /**
   * @param {Run[]} runs
   * @param {import('./run.js').RunState} state
   */
  #words(runs, state) {
    const slowest = runs.reduce((a, b) => (b.missing / b.count > a.missing / a.count ? b : a));
    switch (state) {
      case 'waiting': return waiting(slowest);
      case 'running': return running(runs, slowest, this.#sharing);
      case 'interrupted': return interrupted(runs.find((run) => run.state === 'interrupted') ?? slowest);
      case 'cancelled': return `Cancelled: ${whole(slowest.count - slowest.missing)} of ${counted(slowest.count, 'sample')} finished`;
      case 'failed': return runs.some((run) => run.accepted) ? `Failed: ${whole(slowest.count - slowest.missing)} of ${counted(slowest.count, 'sample')} finished` : 'Refused';
      default: return done(runs);
    }
  }

  /** @param {Run[]} runs */
  #askForLoad(runs) {
    const now = performance.now();
    if (now - this.#askedAt < LOAD_MS) return;
    this.#askedAt = now;
    this.#contract.server.getServerInfo({}).then((/** @type {any} */ info) => {
      const others = (info.load?.requests ?? 0) - runs.filter((run) => !run.isOver).length;
      this.#sharing = others > 0 ? `together with ${counted(others, 'other request')}` : 'no other requests';
    }, () => {
      this.#sharing = '';
    });
  }
}

/** @param {Run} run */
function waiting(run) {
  if (!run.accepted) return 'Asking the server';
  const ahead = Number(run.accepted.queuePosition);
  const place = ahead > 0 ? `Waiting behind ${counted(ahead, 'sample')}` : 'Next in line';
  return run.eta ? `${place} · done in about ${duration(run.eta)}` : place;
}

/**
 * @param {Run[]} runs
 * @param {Run} slowest
 * @param {string} sharing
 */
function running(runs, slowest, sharing) {
  const rate = runs.reduce((sum, run) => sum + (run.isOver ? 0 : run.evalsPerSecond), 0);
  const finished = slowest.count - slowest.missing;
  const parts = [
    `Running: ${whole(finished)} of ${counted(slowest.count, 'sample')} done`,
    slowest.eta && !slowest.isOver ? `${duration(slowest.eta)} left` : '',
    rate > 0 ? `${whole(rate)} evals/s` : '',
    sharing,
  ];
  return parts.filter((part) => part !== '').join(' · ');
}

/** @param {Run} run */
function interrupted(run) {
  const seconds = Math.ceil((run.retryAt - performance.now()) / 1000);
  const missing = run.accepted ? `${counted(run.missing, 'sample')} still missing` : 'nothing received yet';
  return `Interrupted: ${missing} · asking again ${seconds > 1 ? `in ${seconds} s` : 'now'}`;
}

/** @param {Run[]} runs */
function done(runs) {
  const samples = runs.reduce((sum, run) => sum + run.count - run.failures.length, 0);
  const evals = runs.reduce((sum, run) => sum + Number(run.completed?.evals ?? 0), 0);
  const took = Math.max(...runs.map((run) => run.endedAt)) - Math.min(...runs.map((run) => run.startedAt));
  const failed = runs.reduce((sum, run) => sum + run.failures.length, 0);
  const resumed = runs.some((run) => run.resumed > 0) ? ' · resumed after an interruption' : '';
  const rate = took > 0 ? ` · ${whole(evals / (took / 1000))} evals/s` : '';
  return `Done: ${counted(samples, 'sample')} in ${duration(took)} · ${whole(evals)} evals${rate}${failed ? ` · ${failed} failed` : ''}${resumed}`;
}
