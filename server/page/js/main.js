// @ts-check
/** The page: reads the contract and the models, wires controls, runs and views. */

import {announce} from './announce.js';
import {Contract, Refusal} from './contract.js';
import {Controls} from './controls.js';
import {byId, setError} from './dom.js';
import {Forward, MOST_POINTS, sourceOf} from './forward.js';
import {fitsLink, fromLink, toLink} from './link.js';
import {Run} from './run.js';
import {Saving} from './saving.js';
import {Scene} from './scene.js';
import {beside, defaultSteps, samplerOf, toRequest} from './settings.js';
import {showStart} from './start.js';
import {showViolations} from './violations.js';
import {isImage} from './wire.js';
import {counted} from './words.js';

/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./wire.js').Model} Model */

/** Milliseconds between attempts to reach a server that is not there when the page opens. */
const REOPEN_MS = 2000;

class Page {
  #contract;
  #models;
  #limits;
  #controls;
  #scene;
  #forward;
  /** The settings of the last press. @type {Settings | undefined} */
  #settings;
  /** Whether the person chose what is noised. */
  #hasOwnSource = false;
  /** The picture that was dropped in last. @type {Uint8Array | undefined} */
  #uploaded;

  /**
   * @param {Contract} contract
   * @param {Model[]} models
   * @param {any} info GetServerInfoResponse
   */
  constructor(contract, models, info) {
    this.#contract = contract;
    this.#models = models;
    this.#limits = {maxSamples: info.limits.maxSamples, maxWatchedSamples: info.limits.maxWatchedSamples};
    byId('server').textContent = `ddpm-server ${info.version} on ${info.device?.name ?? 'an unknown device'}`;
    this.#controls = new Controls(contract, models, this.#limits, (what) => this.#changed(what));
    this.#scene = new Scene(contract, {
      settled: (runs) => this.#settled(runs),
      use: (k, which) => this.#useSample(k, which),
      noise: (k, which) => this.#noiseSample(k, which),
      save: () => saving.savePng(),
    });
    this.#forward = new Forward(() => this.#controls.seed.value, (source, level) => this.#denoise(source, level));
    const saving = new Saving(contract, () => this.#view());
    this.#listen();
  }

  /** Shows what the address says, and runs it. */
  open() {
    // An image model shows more at first sight.
    const first = this.#models.find(isImage) ?? this.#models[0];
    const {settings, unread, isEmpty} = fromLink(location.hash, this.#models, first, this.#contract);
    this.#show(settings);
    this.#controls.seed.keep(!isEmpty && /(?:^#|&)seed=/.test(location.hash));
    this.#press(settings);
    if (unread.length > 0) announce(`These parts of the link could not be read: ${unread.slice(0, 4).join('; ')}${unread.length > 4 ? '; …' : ''}.`, {isUrgent: true});
  }

  #listen() {
    byId('controls').addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#controls.seed.roll();
      this.#pressControls();
    });
    // Whoever uses a pointer watches next: on this button, space would start another run. Keys find the focus where it was.
    byId('start').addEventListener('click', (/** @type {MouseEvent} */ event) => {
      if (event.detail > 0) byId('play').focus({preventScroll: true});
    });
    byId('cancel').addEventListener('click', () => this.#scene.asked.forEach((run) => run.cancel()));
    byId('copy-link').addEventListener('click', () => this.#copyLink());
    byId('use-sample').addEventListener('click', () => this.#useSample(this.#scene.enlarged.index, 0));
    byId('show').addEventListener('change', () => {
      if (this.#settings) this.#writeLink({...this.#settings, show: this.#scene.timeline.show});
    });
    addEventListener('hashchange', () => this.open());
  }

  /** @param {Settings} settings */
  #show(settings) {
    this.#controls.write(settings);
    this.#scene.timeline.setShow(settings.show);
    this.#forward.setModel(this.#controls.model);
    this.#hasOwnSource = settings.from !== undefined;
    if (settings.from !== undefined) this.#forward.setSource({picture: settings.picture, cloud: settings.cloud}, settings.from);
  }

  #pressControls() {
    if (this.#controls.refuse()) return announce('A setting is wrong; it is marked.', {isUrgent: true});
    return this.#press(this.#controls.read(this.#scene.timeline.show));
  }

  /**
   * Starts the runs of settings.
   * @param {Settings} settings
   */
  #press(settings) {
    document.dispatchEvent(new CustomEvent('ddpm:press'));
    this.#scene.asked.forEach((run) => run.cancel());
    this.#settings = settings;
    this.#writeLink(settings);
    announce('');
    const its = [settings];
    const other = settings.other && this.#models.find(({name}) => name === settings.other?.model);
    if (settings.other && other) its.push(beside(settings, settings.other, other));
    const runs = its.map((one) => this.#newRun(one));
    byId('cancel').disabled = false;
    this.#scene.begin(runs);
    this.#captions(its);
    runs.forEach((run) => void run.go());
  }

  /** @param {Settings} settings */
  #newRun(settings) {
    const model = this.#models.find(({name}) => name === settings.model) ?? this.#models[0];
    let isShown = false;
    let wasInterrupted = false;
    return new Run(this.#contract, model, toRequest(settings, model, this.#contract, this.#limits), (run) => {
      if (!this.#scene.asked.includes(run)) return;
      if (run.frames && !isShown) {
        isShown = true;
        showStart(run.frames, settings, model);
        this.#scene.show(run, (k) => model.classNames[settings.classes[k % settings.classes.length]] ?? '');
      }
      if (run.state === 'interrupted' && !wasInterrupted) announce(`${run.refusal?.sentence} The page asks again for what is missing, by itself.`, {isUrgent: true});
      if (wasInterrupted && run.state !== 'interrupted') announce('The connection is back.');
      wasInterrupted = run.state === 'interrupted';
      this.#scene.invalidate();
    });
  }

  /** @param {Settings[]} its */
  #captions(its) {
    its.forEach((one, k) => {
      const model = this.#models.find(({name}) => name === one.model) ?? this.#models[0];
      const sampler = samplerOf(model, one.sampler)?.name ?? (one.sampler || 'default sampler');
      const steps = counted(one.steps ?? defaultSteps(model, one.sampler), 'step');
      const guidance = one.guidance === undefined || one.classes.length === 0 ? 'no guidance' : `guidance ${one.guidance}`;
      byId(`caption-${'ab'[k]}`).textContent = `${'AB'[k]}: ${one.model}, ${sampler}, ${steps}, ${guidance}`;
    });
  }

  /**
   * Runs are over, and drawn.
   * @param {Run[]} runs
   */
  #settled(runs) {
    byId('cancel').disabled = true;
    runs.forEach((run, k) => {
      if (run.state === 'failed' && run.refusal) this.#refused(run.refusal, k === 1);
    });
    const [run] = runs;
    const hasBadNews = byId('notice').getAttribute('role') === 'alert' && byId('notice').textContent !== '';
    if (runs.every((one) => one.state === 'done') && !hasBadNews) announce(doneWords(runs));
    if (run.state === 'cancelled') announce('Cancelled. What was received stays on the page.');
    if (run.frames?.isFinal[0] && !this.#hasOwnSource) this.#forward.setSource(sourceOf(run.frames, this.#sourceIndex(run), run.request.classLabels));
    else this.#forward.draw();
  }

  /** @param {Run} run */
  #sourceIndex(run) {
    const {index} = this.#scene.enlarged;
    return run.frames?.isFinal[index] ? index : 0;
  }

  /**
   * @param {Refusal} refusal
   * @param {boolean} isOther
   */
  #refused(refusal, isOther) {
    const unplaced = showViolations(refusal.violations, isOther);
    const rest = unplaced.map(({field, description}) => (field ? `${field}: ${description}` : description)).join('; ');
    const sentence = refusal.violations.length > 0 ? `The server refused${isOther ? ' run B' : ''}: ${rest || 'what is wrong is marked'}.` : refusal.sentence + refusal.later;
    announce(sentence, {isUrgent: true});
    if (refusal.reason !== 'MODEL_NOT_FOUND') return;
    setError(isOther ? 'model-b' : 'model', 'This model is no longer on this server.');
  }

  /**
   * A sample becomes the picture to start from.
   * @param {number} k
   * @param {number} which run it is of
   */
  #useSample(k, which) {
    const frames = this.#scene.runs[which]?.frames;
    if (!frames?.isImage || !frames.isFinal[k]) return announce('There is no finished sample yet.');
    if (!this.#fits(frames)) return announce('The chosen model needs pictures of another size.', {isUrgent: true});
    const {picture} = sourceOf(frames, k, []);
    this.#controls.upload.set(picture);
    return announce(`Sample ${k} is the picture to start from.`);
  }

  /**
   * A sample goes to the forward process.
   * @param {number} k
   * @param {number} which run it is of
   */
  #noiseSample(k, which) {
    const run = this.#scene.runs[which];
    if (!run?.frames?.isFinal[k]) return;
    if (!this.#fits(run.frames)) {
      announce('The chosen model has samples of another size.', {isUrgent: true});
      return;
    }
    this.#hasOwnSource = true;
    this.#forward.setSource(sourceOf(run.frames, k, run.request.classLabels));
    byId('forward').scrollIntoView({block: 'center'});
    byId('forward-t').focus();
  }

  /**
   * Whether samples are of the shape that the chosen model has.
   * @param {import('./frames.js').Frames} frames
   */
  #fits(frames) {
    return frames.model.shape.join() === this.#controls.model.shape.join();
  }

  /**
   * Runs the reverse process from a state that the person made.
   * @param {import('./forward.js').Source} source
   * @param {number} level
   */
  #denoise({picture, cloud, label}, level) {
    if (this.#controls.refuse(false)) return;
    const settings = this.#controls.read(this.#scene.timeline.show);
    if (label !== undefined) {
      settings.classes = [label];
      this.#controls.chooseClasses([label]);
    }
    const count = cloud ? Math.min(settings.count, MOST_POINTS, cloud.length / 2) : settings.count;
    this.#hasOwnSource = true;
    this.#press({...settings, picture, cloud, count, from: level, inpaint: '', mask: undefined, other: undefined});
  }

  /** @param {'model' | 'setting'} what */
  #changed(what) {
    if (what === 'model') {
      this.#forward.setModel(this.#controls.model);
      this.#hasOwnSource = false;
    }
    this.#takeUpload();
    this.#writeLink(this.#controls.read(this.#scene.timeline.show));
    this.#scene.invalidate();
  }

  /** A picture of the person's own is what they noise. */
  #takeUpload() {
    const {picture} = this.#controls.upload;
    if (picture === this.#uploaded) return;
    this.#uploaded = picture;
    this.#hasOwnSource = picture !== undefined;
    if (picture) this.#forward.setSource({picture});
  }

  /** @param {Settings} settings */
  #writeLink(settings) {
    history.replaceState(null, '', `#${toLink(settings)}`);
  }

  async #copyLink() {
    const settings = this.#settings;
    if (settings) this.#writeLink({...settings, show: this.#scene.timeline.show});
    const whole = settings && !fitsLink(settings) ? ' The picture is too large for it and is left out.' : '';
    try {
      await navigator.clipboard.writeText(location.href);
      announce(`The link is copied.${whole}`);
    } catch {
      announce(`The browser did not allow copying: copy the link from its address bar.${whole}`);
    }
  }

  #view() {
    const {runs, timeline, stage, enlarged} = this.#scene;
    const {which} = enlarged;
    const run = runs[which];
    if (!run?.frames || !run.receipt) return undefined;
    const name = /** @type {'' | 'A' | 'B'} */ (runs.length > 1 ? 'AB'[which] : '');
    return {
      run, frames: run.frames, position: Math.floor(this.#scene.positionOf(which)), show: timeline.show,
      columns: stage.columns, index: enlarged.index, points: stage.points, name,
    };
  }
}

/** @param {Run[]} runs */
function doneWords(runs) {
  const failed = runs.flatMap((run) => run.failures);
  if (failed.length > 0) return `${counted(failed.length, 'sample')} failed: ${failed[0].message}`;
  // Space is the playhead's unless a control has the focus.
  const isWithKeys = !matchMedia('(pointer: coarse)').matches && !document.activeElement?.closest('.controls');
  const again = isWithKeys ? 'Space plays the run again.' : 'The play button shows the run again.';
  return runs[0].frames?.isImage ? `Finished. Click a sample to enlarge it. ${again}` : `Finished. ${again}`;
}

/** Opens the page; waits for a server that is not there yet. */
async function open() {
  try {
    const contract = await Contract.load();
    const [list, info] = await Promise.all([contract.models.listModels({}), contract.server.getServerInfo({})]);
    if (list.models.length === 0) return announce('This server has no models.', {isUrgent: true});
    const page = new Page(contract, list.models, info);
    document.body.dataset.ready = 'true';
    page.open();
  } catch (error) {
    const sentence = error instanceof Refusal ? error.sentence : 'The server does not answer.';
    byId('run-words').textContent = 'Not connected';
    announce(`${sentence} The page tries again.`, {isUrgent: true});
    if (!(error instanceof Refusal) && !(error instanceof Error && error.name === 'ConnectError')) console.error(error);
    setTimeout(open, REOPEN_MS);
  }
  return undefined;
}

void open();
