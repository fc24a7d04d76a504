// @ts-check
/** The options of a sampler as inputs, made from what the server says of them. */

import {byId, fillSelect, numberIn} from './dom.js';
import {explainOption} from './help.js';

/** @typedef {import('./wire.js').SamplerOption} SamplerOption */
/** @typedef {Record<string, number | boolean | string>} Values by field; what is the default is absent */

export class Options {
  #place = byId('sampler-options');
  /** @type {SamplerOption[]} */
  #options = [];

  /**
   * Shows the options of a sampler.
   * @param {SamplerOption[]} options
   * @param {Values} values
   */
  show(options, values) {
    this.#options = options;
    this.#place.replaceChildren(...options.map((option) => field(option, values[option.field])));
    for (const {field: name, name: words} of options) explainOption(byId(`option-${name}`), words);
  }

  /** @returns {Values} */
  read() {
    /** @type {Values} */
    const values = {};
    for (const option of this.#options) {
      const value = valueOf(option, byId(`option-${option.field}`));
      if (value !== undefined && value !== defaultOf(option)) values[option.field] = value;
    }
    return values;
  }
}

/** @param {SamplerOption} option */
const defaultOf = ({allowed}) => allowed.value?.default;

/**
 * @param {SamplerOption} option
 * @param {any} input
 */
function valueOf(option, input) {
  if (option.allowed.case === 'flag') return input.checked;
  if (option.allowed.case === 'choice') return input.value === '' ? undefined : input.value;
  return numberIn(input);
}

/**
 * @param {SamplerOption} option
 * @param {number | boolean | string | undefined} value
 */
function field(option, value) {
  const id = `option-${option.field}`;
  const input = inputOf(option, value);
  input.id = id;
  input.setAttribute('aria-describedby', `${id}-error`);
  const label = document.createElement('label');
  label.htmlFor = id;
  const error = document.createElement('p');
  error.id = `${id}-error`;
  error.className = 'error';
  error.hidden = true;
  const whole = document.createElement('div');
  whole.className = 'field';
  if (option.allowed.case === 'flag') {
    const words = document.createElement('span');
    words.textContent = wordsOf(option.name);
    label.className = 'switch';
    label.append(input, words);
    whole.classList.add('wide');
    whole.append(label, error);
  } else {
    label.textContent = wordsOf(option.name);
    whole.append(label, input, error);
  }
  return whole;
}

/**
 * @param {SamplerOption} option
 * @param {number | boolean | string | undefined} value
 */
function inputOf({allowed}, value) {
  if (allowed.case === 'choice') {
    const select = document.createElement('select');
    const names = allowed.value.choices.map((/** @type {any} */ choice) => choice.name);
    const options = names.map((/** @type {string} */ name) => ({value: name, label: name}));
    if (allowed.value.default === '') options.unshift({value: '', label: 'the model’s own'});
    fillSelect(select, options, String(value ?? allowed.value.default));
    return select;
  }
  const input = document.createElement('input');
  if (allowed.case === 'flag') {
    input.type = 'checkbox';
    input.setAttribute('role', 'switch');
    input.checked = Boolean(value ?? allowed.value.default);
    return input;
  }
  input.type = 'number';
  input.inputMode = allowed.case === 'count' ? 'numeric' : 'decimal';
  input.step = allowed.case === 'count' ? '1' : 'any';
  input.min = String(allowed.value.min);
  input.max = String(allowed.value.max);
  input.placeholder = String(allowed.value.default);
  input.value = value === undefined ? '' : String(value);
  return input;
}

/** @param {string} name such as `clip-rule` */
const wordsOf = (name) => name.replaceAll('-', ' ');
