// @ts-check
/** The choice of a second run, beside the first and of the same seed. */

import {byId, fillSelect, numberIn} from './dom.js';
import {defaultSteps} from './settings.js';

/** @typedef {import('./wire.js').Model} Model */
/** @typedef {import('./settings.js').Other} Other */

export class Compare {
  #models;
  #toggle = byId('compare');
  #model = byId('model-b');
  #sampler = byId('sampler-b');
  #steps = byId('steps-b');
  #guidance = byId('guidance-b');

  /**
   * @param {Model[]} models
   * @param {() => Other} first what is chosen for the first run
   * @param {() => void} changed
   */
  constructor(models, first, changed) {
    this.#models = models;
    fillSelect(this.#model, models.map(({name}) => ({value: name, label: name})));
    this.#toggle.addEventListener('change', () => {
      // It begins as the first run, so that the person changes one thing.
      this.write(this.#toggle.checked ? first() : undefined);
      changed();
    });
    this.#model.addEventListener('change', () => this.#showModel(''));
    this.#sampler.addEventListener('change', () => this.#showSteps());
  }

  /**
   * Another model was chosen for the first run.
   * @param {Model} model
   */
  follow(model) {
    if (this.#toggle.checked) return;
    this.#model.value = model.name;
    this.#showModel('');
  }

  /** @param {Other | undefined} other */
  write(other) {
    this.#toggle.checked = other !== undefined;
    byId('comparing').hidden = !other;
    if (!other) return;
    this.#model.value = other.model;
    this.#showModel(other.sampler);
    this.#steps.value = other.steps === undefined ? '' : String(other.steps);
    this.#guidance.value = other.guidance === undefined ? '' : String(other.guidance);
  }

  /** @returns {Other | undefined} */
  read() {
    if (!this.#toggle.checked) return undefined;
    const steps = numberIn(this.#steps);
    return {model: this.#model.value, sampler: this.#sampler.value, steps: steps && Math.round(steps), guidance: numberIn(this.#guidance)};
  }

  /** @param {string} sampler */
  #showModel(sampler) {
    const model = this.#chosen;
    const samplers = model.samplers.filter((one) => !one.encodes).map((one) => ({value: one.field, label: one.name}));
    fillSelect(this.#sampler, [{value: '', label: 'default'}, {value: 'auto', label: 'auto'}, ...samplers], sampler);
    this.#guidance.parentElement.hidden = model.classNames.length === 0;
    this.#showSteps();
  }

  #showSteps() {
    this.#steps.placeholder = String(defaultSteps(this.#chosen, this.#sampler.value));
  }

  /** @returns {Model} */
  get #chosen() {
    return this.#models.find(({name}) => name === this.#model.value) ?? this.#models[0];
  }
}
