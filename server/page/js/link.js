// @ts-check
/**
 * Settings ↔ the part of the address after `#`, so that a link gives the same picture again.
 *
 * Links come from anywhere: what cannot be read is left out, and said.
 */

import {encodeBase64} from './base64.js';
import {MOST_BYTES, Reader, shorten} from './link-reader.js';
import {defaults, mostStarts, samplerOf} from './settings.js';
import {lastPosition, levelAt} from './schedule.js';
import {elementsOf, isImage, sizeOf} from './wire.js';

/** @typedef {import('./settings.js').Settings} Settings */
/** @typedef {import('./wire.js').Model} Model */

/**
 * @param {Settings} settings
 * @returns {string} without `#`
 */
export function toLink(settings) {
  /** @type {[string, unknown][]} */
  const entries = [
    ['model', settings.model], ['sampler', settings.sampler],
    ...Object.entries(settings.options).map(([field, value]) => /** @type {[string, unknown]} */ ([`option-${field}`, value])),
    ['steps', settings.steps], ['grid', settings.grid], ['clip', settings.clip],
    ['classes', labelsToText(settings.classes)],
    ['guidance', settings.guidance], ['guidance-min', settings.guidanceMin], ['guidance-max', settings.guidanceMax],
    ['seed', settings.seed], ['count', settings.count], ['show', settings.show],
    ...startToEntries(settings),
  ];
  const other = settings.other;
  if (other) {
    entries.push(['b-model', other.model], ['b-sampler', other.sampler], ['b-steps', other.steps], ['b-guidance', other.guidance]);
  }
  const written = entries.filter(([, value]) => value !== undefined && value !== '');
  return written.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&');
}

/**
 * Whether a link holds all of the settings.
 * @param {Settings} settings
 */
export const fitsLink = ({picture, cloud}) => (picture?.length ?? cloud?.byteLength ?? 0) <= MOST_BYTES;

/**
 * @param {Settings} settings
 * @returns {[string, unknown][]}
 */
function startToEntries(settings) {
  const {picture, cloud, strength, inpaint, resampling, mask, from} = settings;
  const source = picture ?? (cloud && new Uint8Array(cloud.buffer, cloud.byteOffset, cloud.byteLength));
  if (!source || !fitsLink(settings)) return [];
  const name = picture ? 'picture' : 'points';
  if (!picture && from === undefined) return [];
  /** @type {[string, unknown][]} */
  const entries = [[name, encodeBase64(source)]];
  if (from !== undefined) entries.push(['from', from]);
  else if (inpaint) entries.push(['inpaint', inpaint], ['resampling', inpaint === 'x_t' ? resampling : undefined]);
  else entries.push(['strength', strength]);
  if (mask) entries.push(['mask', encodeBase64(packBits(mask))]);
  return entries;
}

/**
 * @param {string} hash with or without `#`
 * @param {Model[]} models at least one
 * @param {Model} first the model of a link that names none
 * @param {import('./contract.js').Contract} contract
 * @returns {{settings: Settings, unread: string[], isEmpty: boolean}} `unread`: what could not be read, as sentences
 */
export function fromLink(hash, models, first, contract) {
  const reader = new Reader(hash);
  const name = reader.text('model');
  const model = models.find((one) => one.name === name) ?? first;
  if (name !== undefined && model.name !== name) reader.unread.push(`there is no model “${shorten(name)}” here`);
  const settings = defaults(model);
  readSampler(reader, settings, model);
  settings.steps = reader.number('steps', 1, 100_000, true);
  settings.grid = reader.choice('grid', contract.values('Grid').map((one) => one.name)) ?? '';
  settings.clip = reader.choice('clip', contract.values('Clip').map((one) => one.name)) ?? '';
  readClasses(reader, settings, model);
  settings.guidance = reader.number('guidance', 0, 1000);
  settings.guidanceMin = reader.number('guidance-min', 0, 1e6);
  settings.guidanceMax = reader.number('guidance-max', 0, 1e6);
  settings.seed = reader.seed() ?? settings.seed;
  settings.count = reader.number('count', 1, 1e6, true) ?? settings.count;
  const shows = /** @type {Settings['show'][]} */ (['x_0', 'x_t', 'split']);
  settings.show = shows.find((one) => one === reader.choice('show', shows)) ?? settings.show;
  readStart(reader, settings, model);
  readOther(reader, settings, models);
  return {settings, unread: reader.end(), isEmpty: reader.isEmpty};
}

/**
 * @param {Reader} reader
 * @param {Settings} settings
 * @param {Model} model
 */
function readSampler(reader, settings, model) {
  settings.sampler = reader.choice('sampler', ['auto', ...model.samplers.map((one) => one.field)]) ?? '';
  for (const option of samplerOf(model, settings.sampler)?.options ?? []) {
    const value = readOption(reader, option);
    if (value !== undefined) settings.options[option.field] = value;
  }
}

/**
 * @param {Reader} reader
 * @param {import('./wire.js').SamplerOption} option
 */
function readOption(reader, {field, allowed}) {
  const name = `option-${field}`;
  switch (allowed.case) {
    case 'number': return reader.number(name, allowed.value.min, allowed.value.max);
    case 'count': return reader.number(name, allowed.value.min, allowed.value.max, true);
    case 'flag': {
      const said = reader.choice(name, ['true', 'false']);
      return said === undefined ? undefined : said === 'true';
    }
    default: return reader.choice(name, (allowed.value?.choices ?? []).map((/** @type {any} */ one) => one.name));
  }
}

/**
 * @param {Reader} reader
 * @param {Settings} settings
 * @param {Model} model
 */
function readClasses(reader, settings, model) {
  const text = reader.text('classes');
  if (text === undefined) return;
  const labels = textToLabels(text);
  if (labels && labels.every((label) => label < model.classNames.length)) settings.classes = labels;
  else reader.refuse('classes', text);
}

/**
 * @param {Reader} reader
 * @param {Settings} settings
 * @param {Model} model
 */
function readStart(reader, settings, model) {
  const picture = reader.bytes('picture', isImage(model) ? elementsOf(model) : -1);
  const points = reader.bytes('points', undefined);
  settings.picture = picture;
  if (points && !isImage(model) && points.length % 8 === 0 && points.length > 0) settings.cloud = new Float32Array(points.buffer);
  settings.strength = reader.number('strength', 0, 1) ?? settings.strength;
  const methods = /** @type {('x_0' | 'x_t')[]} */ (['x_0', 'x_t']);
  const method = reader.choice('inpaint', methods);
  settings.inpaint = picture ? methods.find((one) => one === method) ?? '' : '';
  settings.resampling = reader.number('resampling', 1, 100, true) ?? 1;
  const {height, width} = isImage(model) ? sizeOf(model) : {height: 0, width: 0};
  const bits = reader.bytes('mask', Math.ceil((height * width) / 8));
  if (bits && picture) settings.mask = unpackBits(bits, height * width);
  const most = levelAt(model, lastPosition(model));
  const from = reader.number('from', 0, most, !model.edm);
  if (!picture && !settings.cloud) return;
  settings.from = from;
  if (from === undefined || settings.count <= mostStarts(model)) return;
  reader.refuse('count', String(settings.count));
  settings.count = mostStarts(model);
}

/**
 * @param {Reader} reader
 * @param {Settings} settings
 * @param {Model[]} models
 */
function readOther(reader, settings, models) {
  const model = reader.choice('b-model', models.map((one) => one.name));
  const its = models.find((one) => one.name === model);
  const sampler = reader.choice('b-sampler', ['auto', ...(its?.samplers ?? []).map((one) => one.field)]) ?? '';
  const steps = reader.number('b-steps', 1, 100_000, true);
  const guidance = reader.number('b-guidance', 0, 1000);
  if (model !== undefined) settings.other = {model, sampler, steps, guidance};
}

/**
 * Labels with runs written as such: `0-9.15`; `none` for none.
 * @param {number[]} labels
 */
function labelsToText(labels) {
  if (labels.length === 0) return 'none';
  const parts = [];
  for (let from = 0; from < labels.length;) {
    let to = from;
    while (labels[to + 1] === labels[to] + 1) to += 1;
    parts.push(to > from ? `${labels[from]}-${labels[to]}` : `${labels[from]}`);
    from = to + 1;
  }
  return parts.join('.');
}

/**
 * @param {string} text
 * @returns {number[] | undefined}
 */
function textToLabels(text) {
  if (text === 'none') return [];
  const labels = [];
  for (const part of text.split('.')) {
    const found = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (!found) return undefined;
    const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (last < first || last - first > 10_000 || labels.length > 10_000) return undefined;
    for (let label = first; label <= last; label += 1) labels.push(label);
  }
  return labels;
}

/** @param {Uint8Array} flags */
function packBits(flags) {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  flags.forEach((flag, k) => {
    if (flag) bytes[k >> 3] |= 1 << (k & 7);
  });
  return bytes;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} length
 */
const unpackBits = (bytes, length) => Uint8Array.from({length}, (_, k) => (bytes[k >> 3] >> (k & 7)) & 1);
