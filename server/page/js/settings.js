// @ts-check
/** What a person can choose, as one plain object, and what it means as a request. */

import {keepEvery} from './frames.js';
import {FORWARD_DRAW, fillNormal} from './noise.js';
import {toValues} from './pixels.js';
import {addNoise, gridFrom} from './schedule.js';
import {randomSeed} from './seed.js';
import {
  BOTH, DELIVERY_ALL, DELIVERY_LATEST, RAW_F32, RAW_U8, X_0, X_T, elementsOf, isImage, sizeOf,
} from './wire.js';

/** @typedef {import('./wire.js').Model} Model */
/** @typedef {import('./contract.js').Contract} Contract */

/**
 * @typedef {object} Settings
 * @property {string} model
 * @property {string} sampler its field of `Sampler.kind`, `auto`, or empty for the model's default
 * @property {Record<string, number | boolean | string>} options of the sampler, by field; choices by name
 * @property {number | undefined} steps undefined: the default
 * @property {string} grid empty: the default
 * @property {string} clip empty: the default
 * @property {number[]} classes labels, cycled through by the samples
 * @property {number | undefined} guidance undefined: none
 * @property {number | undefined} guidanceMin
 * @property {number | undefined} guidanceMax
 * @property {bigint} seed
 * @property {number} count
 * @property {Uint8Array | undefined} picture pixels of an x_0 to start from, to complete or to noise
 * @property {Float32Array | undefined} cloud points to noise, as `picture` is for images
 * @property {number} strength
 * @property {'' | 'x_0' | 'x_t'} inpaint how the known part of `picture` is kept; empty: not at all
 * @property {number} resampling of `x_t`
 * @property {Uint8Array | undefined} mask 1 where `picture` is known
 * @property {number | undefined} from the level of the forward process to denoise from
 * @property {'x_0' | 'x_t' | 'split'} show
 * @property {Other | undefined} other what is compared
 */

/**
 * The run beside it: the same settings but for these.
 * @typedef {{model: string, sampler: string, steps: number | undefined, guidance: number | undefined}} Other
 */

/** Elements of previews in one step up to which both kinds are asked for. */
const MOST_OF_BOTH = 1 << 20;
/** Bytes of previews of a run up to which each is asked for, even if the page reads slowly. */
const MOST_OF_ALL = 32 << 20;
/** Bytes of finished images up to which they come at the model's scale. */
const MOST_AS_VALUES = 16 << 20;
const PRIORITY_INTERACTIVE = 3;

/**
 * What a model is shown with at first.
 * @param {Model} model
 * @returns {Settings}
 */
export function defaults(model) {
  return {
    model: model.name, sampler: '', options: {}, steps: undefined, grid: '', clip: '',
    classes: model.classNames.map((_, label) => label),
    guidance: undefined, guidanceMin: undefined, guidanceMax: undefined,
    seed: randomSeed(), count: defaultCount(model),
    picture: undefined, cloud: undefined, strength: 0.6, inpaint: '', resampling: 1, mask: undefined, from: undefined,
    show: 'x_t', other: undefined,
  };
}

/** @param {Model} model */
function defaultCount(model) {
  if (!isImage(model)) return 1000;
  const elements = elementsOf(model);
  if (elements <= 64 * 64 * 3) return 64;
  return elements <= 256 * 256 * 3 ? 16 : 4;
}

/**
 * The sampler that a choice means; undefined for `auto`.
 * @param {Model} model
 * @param {string} field empty: the model's default
 */
export function samplerOf(model, field) {
  const name = field || snake(model.defaultSampler?.kind?.case ?? '');
  return model.samplers.find((sampler) => sampler.field === name || camel(sampler.field) === name);
}

/**
 * Steps of a run of which none were chosen.
 * @param {Model} model
 * @param {string} sampler
 */
export const defaultSteps = (model, sampler) => samplerOf(model, sampler)?.defaultNumSteps || model.defaultNumSteps;

/**
 * The settings of the run beside another.
 * @param {Settings} settings
 * @param {Other} other
 * @param {Model} model of the other
 * @returns {Settings}
 */
export function beside(settings, other, model) {
  const same = other.model === settings.model;
  const sampler = {sampler: other.sampler, options: same && other.sampler === settings.sampler ? settings.options : {}};
  const its = {...settings, ...sampler, model: other.model, steps: other.steps, guidance: other.guidance, other: undefined};
  if (same) return its;
  const classes = settings.classes.filter((label) => label < model.classNames.length);
  return {
    ...its, grid: '', clip: '', classes, guidance: classes.length ? its.guidance : undefined,
    picture: undefined, cloud: undefined, inpaint: '', mask: undefined, from: undefined,
  };
}

/**
 * The request for settings.
 * @param {Settings} settings
 * @param {Model} model
 * @param {Contract} contract
 * @param {{maxWatchedSamples: number}} limits
 */
export function toRequest(settings, model, contract, limits) {
  const encodes = samplerOf(model, settings.sampler)?.encodes ?? false;
  const grid = contract.values('Grid').find((one) => one.name === settings.grid)?.number;
  const start = startOf(settings, model, encodes);
  const {initial, inpaint, ...startGrid} = start;
  const asValues = !isImage(model) || encodes || settings.count * elementsOf(model) * 4 <= MOST_AS_VALUES;
  return contract.create('GenerateRequest', {
    model: model.name,
    samples: {case: 'sampleCount', value: settings.count},
    seed: settings.seed,
    classLabels: model.classNames.length ? settings.classes : [],
    sampler: settings.sampler ? samplerMessage(settings, model, contract) : undefined,
    numSteps: startGrid.grid ? undefined : settings.steps,
    grid: settings.sampler === 'auto' ? undefined : grid,
    clip: contract.values('Clip').find((one) => one.name === settings.clip)?.number,
    guidance: guidanceOf(settings, model),
    format: asValues ? RAW_F32 : RAW_U8,
    preview: previewOf(settings, model, limits),
    priority: PRIORITY_INTERACTIVE,
    ...startGrid, initial, inpaint,
  });
}

/**
 * @param {Settings} settings
 * @param {Model} model
 * @param {Contract} contract
 */
function samplerMessage(settings, model, contract) {
  const kind = contract.message('Sampler').fields.find((/** @type {any} */ field) => field.name === settings.sampler);
  if (!kind) return undefined;
  const info = samplerOf(model, settings.sampler);
  /** @type {Record<string, any>} */
  const value = {};
  for (const option of info?.options ?? []) {
    const chosen = settings.options[option.field];
    const field = kind.message.fields.find((/** @type {any} */ one) => one.name === option.field);
    if (chosen !== undefined && field) value[field.localName] = optionValue(option, field, chosen);
  }
  return {kind: {case: kind.localName, value}};
}

/**
 * @param {import('./wire.js').SamplerOption} option
 * @param {any} field
 * @param {number | boolean | string} chosen
 */
function optionValue(option, field, chosen) {
  if (option.allowed.case !== 'choice') return chosen;
  const {choices} = option.allowed.value;
  const number = choices.find((/** @type {any} */ one) => one.name === chosen)?.value ?? 0;
  return field.fieldKind === 'enum' ? number : Boolean(number);
}

/**
 * @param {Settings} settings
 * @param {Model} model
 */
function guidanceOf({guidance, guidanceMin, guidanceMax, classes}, model) {
  if (guidance === undefined || model.classNames.length === 0 || classes.length === 0) return undefined;
  return {scale: guidance, sigmaMin: guidanceMin, sigmaMax: guidanceMax};
}

/**
 * @param {Settings} settings
 * @param {Model} model
 * @param {{maxWatchedSamples: number}} limits
 */
function previewOf({count, steps, sampler, show}, model, limits) {
  const elements = Math.min(count, limits.maxWatchedSamples) * elementsOf(model);
  const both = elements <= MOST_OF_BOTH;
  const bytes = elements * (isImage(model) ? 1 : 4) * (both ? 2 : 1);
  const numSteps = steps ?? defaultSteps(model, sampler);
  return {
    kind: both ? BOTH : show === 'x_t' ? X_T : X_0,
    everySteps: keepEvery(numSteps, bytes),
    format: isImage(model) ? RAW_U8 : RAW_F32,
    delivery: bytes * numSteps <= MOST_OF_ALL ? DELIVERY_ALL : DELIVERY_LATEST,
  };
}

/**
 * What samples start from: fields of a request.
 * @param {Settings} settings
 * @param {Model} model
 * @param {boolean} encodes
 * @returns {{initial?: any, inpaint?: any, grid?: number, gridOptions?: any}}
 */
function startOf(settings, model, encodes) {
  const {picture, mask, inpaint, from, strength, resampling} = settings;
  if (from !== undefined && (picture || settings.cloud)) {
    const data = startStates(settings, model).map((state) => ({format: RAW_F32, data: new Uint8Array(state.buffer)}));
    const numSteps = settings.steps ?? defaultSteps(model, settings.sampler);
    return {initial: {kind: {case: 'states', value: {states: data}}}, ...gridFrom(model, from, numSteps)};
  }
  if (!picture) return {};
  const tensor = {format: RAW_U8, data: picture};
  if (encodes) return {initial: {kind: {case: 'images', value: {images: [tensor]}}}};
  if (!inpaint) return {initial: {kind: {case: 'images', value: {images: [tensor], strength}}}};
  const {height, width} = sizeOf(model);
  const known = (mask ?? new Uint8Array(height * width).fill(1)).map((one) => (one ? 255 : 0));
  const method = inpaint === 'x_t' ? {case: 'replaceXT', value: {resampling}} : {case: 'replaceX0', value: {}};
  return {inpaint: {image: tensor, mask: {format: RAW_U8, data: known}, method}};
}

/** Bytes of given states in one request: half of what a message may have. */
const MOST_STATE_BYTES = 8 << 20;

/**
 * How many samples can start from given states.
 * @param {Model} model
 */
export const mostStarts = (model) => Math.max(1, Math.floor(MOST_STATE_BYTES / (4 * elementsOf(model))));

/**
 * The states that "denoise from here" starts from, one per sample, each with noise of its own. Of more samples than
 * `mostStarts`, the server takes them again from the first.
 * @param {Settings} settings with `from`, and `picture` or `cloud`
 * @param {Model} model
 */
export function startStates(settings, model) {
  const elements = elementsOf(model);
  const sources = settings.picture ? [toValues(settings.picture, sizeOf(model))] : split(settings.cloud, elements);
  const eps = new Float32Array(elements);
  return Array.from({length: Math.min(settings.count, mostStarts(model))}, (_, k) => {
    fillNormal(settings.seed, k, FORWARD_DRAW, eps);
    return addNoise(model, settings.from ?? 0, sources[k % sources.length], eps);
  });
}

/**
 * @param {Float32Array | undefined} values
 * @param {number} length
 */
function split(values, length) {
  const all = values ?? new Float32Array(length);
  return Array.from({length: all.length / length}, (_, k) => all.subarray(k * length, (k + 1) * length));
}

/** @param {string} name */
const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** @param {string} name */
const snake = (name) => name.replace(/([A-Z])/g, (letter) => `_${letter.toLowerCase()}`);
