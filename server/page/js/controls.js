// @ts-check
/** The column of settings: a model's controls → `Settings`, and back. What a model cannot do is not shown. */

import {Classes} from './classes.js';
import {Compare} from './compare.js';
import {byId, clearErrors, fillSelect, nameOf, numberIn, setError} from './dom.js';
import {explainControls} from './help.js';
import {Mask} from './mask.js';
import {Options} from './options.js';
import {Seed} from './seed.js';
import {defaultSteps, defaults, samplerOf} from './settings.js';
import {Upload} from './upload.js';
import {isImage, sizeOf} from './wire.js';
import {counted, whole} from './words.js';

/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./wire.js').Model} Model */

/** Grids whose points must be listed; there is no control for such lists. */
const LISTED_GRIDS = ['sections', 'timesteps', 'sigmas'];
/** Where the slider of guidance stands while there is none: the conditional network alone. */
const NO_GUIDANCE = '1';

export class Controls {
  /** @type {Model} */
  model;
  upload;
  mask;
  seed;

  #contract;
  #models;
  #changed;
  #options = new Options();
  #classes;
  #compare;

  /**
   * @param {import('./contract.js').Contract} contract
   * @param {Model[]} models
   * @param {{maxSamples: number}} limits
   * @param {(what: 'model' | 'setting') => void} changed
   */
  constructor(contract, models, limits, changed) {
    this.#contract = contract;
    this.#models = models;
    this.#changed = changed;
    this.model = models[0];
    const setting = () => changed('setting');
    this.#classes = new Classes(() => {
      this.#showPossible();
      setting();
    });
    this.#compare = new Compare(models, () => this.#first(), setting);
    this.seed = new Seed(setting);
    this.mask = new Mask(() => {
      setError('mask', '');
      setting();
    });
    this.upload = new Upload(() => {
      this.#showPicture(undefined);
      setting();
    });
    fillSelect(byId('model'), models.map(({name}) => ({value: name, label: name})));
    byId('count').max = String(limits.maxSamples);
    fillSelect(byId('clip'), [{value: '', label: 'default'}, ...this.#names('Clip')]);
    explainControls();
    this.#listen();
  }

  /**
   * Shows settings.
   * @param {Settings} settings
   */
  write(settings) {
    clearErrors();
    this.model = this.#models.find(({name}) => name === settings.model) ?? this.#models[0];
    byId('model').value = this.model.name;
    this.upload.setModel(this.model);
    this.#showModel(settings);
    byId('steps').value = settings.steps ?? '';
    byId('grid').value = settings.grid;
    byId('clip').value = settings.clip;
    byId('count').value = settings.count;
    byId('guidance').value = settings.guidance ?? '';
    byId('guidance-slider').value = settings.guidance ?? NO_GUIDANCE;
    byId('guidance-min').value = settings.guidanceMin ?? '';
    byId('guidance-max').value = settings.guidanceMax ?? '';
    byId('strength').value = settings.strength;
    byId('inpaint').checked = settings.inpaint !== '';
    byId('inpaint-method').value = settings.inpaint || 'x_0';
    byId('resampling').value = settings.resampling;
    this.seed.write(settings.seed);
    this.upload.picture = settings.from === undefined ? settings.picture : undefined;
    this.upload.setModel(this.model);
    this.#showPicture(settings.mask);
    this.#compare.write(settings.other);
    this.#compare.follow(this.model);
    this.#showPossible();
  }

  /**
   * What is chosen now.
   * @param {Settings['show']} show
   * @returns {Settings}
   */
  read(show) {
    const {model} = this;
    const usual = defaults(model);
    const inpaints = this.#inpaints;
    const withClasses = model.classNames.length > 0;
    return {
      ...usual,
      sampler: byId('sampler').value,
      options: this.#options.read(),
      steps: wholeIn('steps'),
      grid: byId('grid').value,
      clip: byId('clip').value,
      classes: withClasses ? this.#classes.read() : [],
      guidance: withClasses ? numberIn(byId('guidance')) : undefined,
      guidanceMin: numberIn(byId('guidance-min')),
      guidanceMax: numberIn(byId('guidance-max')),
      seed: this.seed.value,
      count: wholeIn('count') ?? usual.count,
      picture: this.upload.picture,
      strength: Number(byId('strength').value),
      inpaint: inpaints ? byId('inpaint-method').value : '',
      resampling: wholeIn('resampling') ?? 1,
      mask: inpaints ? this.mask.known.slice() : undefined,
      show,
      other: this.#compare.read(),
    };
  }

  /** @param {number[]} labels */
  chooseClasses(labels) {
    if (this.model.classNames.length > 0) this.#classes.show(this.model.classNames, labels);
  }

  /**
   * Says what is wrong with settings before they are sent; false if nothing is.
   * @param {boolean} inpaints whether the run would
   * @returns {boolean}
   */
  refuse(inpaints = this.#inpaints && !samplerOf(this.model, byId('sampler').value)?.encodes) {
    clearErrors();
    const wrong = [];
    if (!this.seed.isValid) wrong.push(['seed', 'a whole number from 0 to 18,446,744,073,709,551,615']);
    for (const id of ['steps', 'count', 'guidance', 'guidance-min', 'guidance-max', 'steps-b', 'guidance-b', 'resampling']) {
      if (byId(id).validity.badInput) wrong.push([id, 'a number']);
    }
    for (const id of ['steps', 'count', 'steps-b', 'resampling']) {
      const value = numberIn(byId(id));
      if (value !== undefined && (value < 1 || value > 2 ** 32 - 1)) wrong.push([id, 'a whole number of at least 1']);
    }
    for (const [id, want] of wrong) setError(id, `${nameOf(id)} must be ${want}`);
    if (inpaints && this.mask.isBlank) {
      setError('mask', 'Nothing is painted yet: paint over what is to be redrawn.');
      wrong.push(['mask', '']);
    }
    if (wrong.length > 0) byId(wrong[0][0]).focus();
    return wrong.length > 0;
  }

  get #inpaints() {
    return byId('inpaint').checked && this.upload.picture !== undefined;
  }

  /** What a second run begins with. */
  #first() {
    return {model: this.model.name, sampler: byId('sampler').value, steps: wholeIn('steps'), guidance: numberIn(byId('guidance'))};
  }

  #listen() {
    byId('model').addEventListener('change', () => this.#chooseModel());
    byId('sampler').addEventListener('change', () => this.#showSampler({}));
    for (const id of ['guidance', 'inpaint', 'inpaint-method', 'strength']) byId(id).addEventListener('input', () => this.#showPossible());
    byId('guidance').addEventListener('input', () => {
      byId('guidance-slider').value = byId('guidance').value || NO_GUIDANCE;
    });
    byId('guidance-slider').addEventListener('input', () => {
      byId('guidance').value = byId('guidance-slider').value;
      this.#showPossible();
    });
    byId('guidance-off').addEventListener('click', () => this.#turnGuidanceOff());
    byId('controls').addEventListener('change', (/** @type {Event} */ event) => {
      const {id} = /** @type {HTMLElement} */ (event.target);
      if (document.getElementById(`${id}-error`)) setError(id, '');
      this.#changed('setting');
    });
  }

  #turnGuidanceOff() {
    byId('guidance').value = '';
    byId('guidance-slider').value = NO_GUIDANCE;
    byId('guidance').focus();
    byId('guidance').dispatchEvent(new Event('change', {bubbles: true}));
    this.#showPossible();
  }

  #chooseModel() {
    const model = this.#models.find(({name}) => name === byId('model').value) ?? this.#models[0];
    this.write({...defaults(model), seed: this.seed.value, other: this.#compare.read()});
    this.#changed('model');
  }

  /** @param {Settings} settings */
  #showModel(settings) {
    const {model} = this;
    byId('model-facts').textContent = factsOf(model);
    byId('conditioning').hidden = model.classNames.length === 0;
    byId('editing').hidden = !isImage(model);
    byId('count-field').querySelector('label').textContent = isImage(model) ? 'Samples' : 'Points';
    this.#classes.show(model.classNames, settings.classes);
    this.#showSamplers(settings.sampler);
    const grids = this.#names('Grid').filter(({value}) => !LISTED_GRIDS.includes(value));
    const usual = this.#contract.values('Grid').find(({number}) => number === model.defaultGrid)?.name;
    fillSelect(byId('grid'), [{value: '', label: usual ? `default (${usual})` : 'default'}, ...grids], settings.grid);
    this.#showSampler(settings.options);
  }

  /** @param {string} chosen */
  #showSamplers(chosen) {
    const {model} = this;
    const usual = samplerOf(model, '')?.name;
    const withPicture = this.upload.picture !== undefined;
    const possible = model.samplers.filter((sampler) => withPicture || !sampler.encodes);
    fillSelect(byId('sampler'), [
      {value: '', label: usual ? `default (${usual})` : 'default'},
      {value: 'auto', label: 'auto: the server chooses'},
      ...possible.map(({field, name}) => ({value: field, label: name})),
    ], chosen);
  }

  /** @param {Record<string, number | boolean | string>} values */
  #showSampler(values) {
    const chosen = byId('sampler').value;
    this.#options.show(chosen === 'auto' ? [] : samplerOf(this.model, chosen)?.options ?? [], values);
    byId('steps').placeholder = String(defaultSteps(this.model, chosen));
    byId('steps').max = String(this.model.timesteps || 1000);
    this.#showPossible();
  }

  /** @param {Uint8Array | undefined} mask */
  #showPicture(mask) {
    const {picture} = this.upload;
    byId('with-picture').hidden = !picture;
    if (picture) this.mask.show(picture, sizeOf(this.model), mask);
    const before = byId('sampler').value;
    this.#showSamplers(before);
    if (byId('sampler').value !== before) this.#showSampler({});
    this.#showPossible();
  }

  /** Shows only what the present choices allow. */
  #showPossible() {
    const sampler = byId('sampler').value;
    const info = samplerOf(this.model, sampler);
    const inpaints = byId('inpaint').checked;
    byId('grid-field').hidden = sampler === 'auto';
    const isGuided = byId('guidance').value !== '';
    for (const id of ['guidance-min', 'guidance-max']) byId(id).closest('.field').hidden = !isGuided;
    byId('guidance-off').hidden = !isGuided;
    byId('guidance-slider').classList.toggle('off', !isGuided);
    byId('guidance-slider').setAttribute('aria-valuetext', isGuided ? byId('guidance').value : 'off');
    byId('strength-field').hidden = inpaints || Boolean(info?.encodes);
    byId('strength-value').textContent = Number(byId('strength').value).toFixed(2);
    byId('painting').hidden = !inpaints;
    const isSingle = info?.singleStep ?? false;
    byId('inpaint-method').closest('.field').hidden = !isSingle;
    if (!isSingle) byId('inpaint-method').value = 'x_0';
    byId('resampling-field').hidden = byId('inpaint-method').value !== 'x_t';
    if (inpaints) this.mask.draw();
  }

  /** @param {string} name of an enum */
  #names(name) {
    return this.#contract.values(name).map((value) => ({value: value.name, label: value.name}));
  }
}

/** @param {Model} model */
function factsOf(model) {
  const {height, width, channels} = isImage(model) ? sizeOf(model) : {height: 0, width: 0, channels: 0};
  const kind = isImage(model) ? `${width} × ${height}${channels === 1 ? ' grey' : ''}` : 'points';
  const classes = model.classNames.length > 0 ? `${counted(model.classNames.length, 'class', 'classes')}, ` : '';
  const time = model.timesteps > 0 ? `, T = ${whole(model.timesteps)}` : '';
  return `${kind}, ${classes}predicts ${model.prediction}, ${model.schedule}${time}`;
}

/** @param {string} id */
function wholeIn(id) {
  const value = numberIn(byId(id));
  return value === undefined ? undefined : Math.round(value);
}
