// @ts-check
/**
 * The receipt as text chunks of a picture, with the same keywords and words as the command `ddpm` writes them: with these
 * and the model, anyone can make the picture again.
 */

/** @typedef {{number: number, name: string}} EnumValue */

/**
 * Describes a picture of samples.
 *
 * @param {object} picture
 * @param {any} picture.receipt a message `Receipt`
 * @param {any[]} picture.samplers `Model.samplers`: their names in texts, and their defaults
 * @param {(name: string) => EnumValue[]} picture.values the values of an enum, by their short names
 * @param {string} picture.indices such as `3` or `0-63`
 * @param {string} [picture.label] name of the class of a single sample
 * @param {string} [picture.version] of the server
 * @returns {Record<string, string>}
 */
export function describe({receipt, samplers, values, indices, label = '', version = ''}) {
  /** @param {string} of @param {number} number */
  const name = (of, number) => values(of).find((value) => value.number === number)?.name ?? '';
  const entries = {
    Software: `ddpm ${version}`.trim(),
    'ddpm.model': receipt.model,
    'ddpm.version': receipt.version,
    'ddpm.model_digest': receipt.modelDigest,
    'ddpm.graph': receipt.graph,
    'ddpm.seed': receipt.seed,
    'ddpm.index': indices,
    'ddpm.label': label && `${receipt.classLabels[Number(indices) % receipt.classLabels.length]} ${label}`,
    'ddpm.labels': receipt.classLabels.join(','),
    'ddpm.sampler': samplerText(receipt.sampler, samplers),
    'ddpm.steps': receipt.numSteps,
    'ddpm.grid': gridText(name('Grid', receipt.grid), receipt),
    'ddpm.clip': clipText(name('Clip', receipt.clip), receipt.dynamicThreshold),
    'ddpm.guidance': receipt.guidance && guidanceText(receipt.guidance),
    'ddpm.shared_noise': receipt.sharedNoise && sharedNoiseText(receipt.sharedNoise),
    'ddpm.strength': receipt.strength,
    'ddpm.inpaint': inpaintText(receipt.inpaint),
    'ddpm.frames': receipt.interpolationFrames || '',
    'ddpm.inputs_digest': receipt.inputsDigest,
    'ddpm.program_digest': receipt.programDigest,
    'ddpm.fingerprint': receipt.fingerprint,
    'ddpm.noise_layout': receipt.noiseLayout,
    'ddpm.determinism': name('Determinism', receipt.determinism),
  };
  const texts = Object.entries(entries).map(([key, value]) => [key, String(value ?? '')]);
  return Object.fromEntries(texts.filter(([, value]) => value !== ''));
}

/**
 * A name with what differs from the defaults: `dpm++:order=3`.
 *
 * @param {string} name
 * @param {[string, unknown, unknown][]} options name, value and default of each
 */
function spec(name, options) {
  const set = options.filter(([, value, usual]) => value !== undefined && value !== usual);
  const list = set.map(([option, value]) => `${option}=${value}`);
  return list.length === 0 ? name : `${name}:${list.join(',')}`;
}

/** @param {any} sampler @param {any[]} samplers */
function samplerText(sampler, samplers) {
  const kind = sampler?.kind;
  const info = samplers.find(({field}) => camelCase(field) === kind?.case);
  if (!info) return kind?.case ?? '';
  return spec(info.name, info.options.map((/** @type {any} */ option) => {
    const {case: type, value: range} = option.allowed;
    const value = kind.value[camelCase(option.field)];
    if (type !== 'choice') return [option.name, value, range.default];
    const choice = range.choices.find((/** @type {any} */ one) => one.value === Number(value));
    return [option.name, choice?.name, range.default];
  }));
}

/** @param {string} name @param {any} receipt */
function gridText(name, {gridOptions: options, numSteps}) {
  switch (name) {
    case 'ddim-stride':
      return `ddim:${numSteps}`;
    case 'leading':
      return spec(name, [['offset', options?.offset, 0]]);
    case 'karras':
      return spec(name, [['rho', options?.rho, 7]]);
    case 'flow':
      return spec(name, [['shift', options?.shift, 1]]);
    case 'sections':
    case 'timesteps':
    case 'sigmas':
      return `${name}:${options?.[name].join(',') ?? ''}`;
    default:
      return name;
  }
}

/** @param {string} name @param {any} threshold */
function clipText(name, threshold) {
  if (name !== 'dynamic') return name;
  return spec(name, [['quantile', threshold?.quantile, 0.995], ['max', threshold?.max, 100]]);
}

/** `3`, or `3 in 0.1:2` if limited to an interval of sigmas. @param {any} guidance */
function guidanceText({scale, sigmaMin = 0, sigmaMax = Infinity}) {
  if (sigmaMax !== Infinity) return `${scale} in ${sigmaMin}:${sigmaMax}`;
  return sigmaMin > 0 ? `${scale} in ${sigmaMin}:` : `${scale}`;
}

/** `9 start,steps`. @param {any} shared */
function sharedNoiseText({index, start, steps}) {
  return `${index} ${[start && 'start', steps && 'steps'].filter(Boolean).join(',')}`;
}

/** `replace-x0`, or `replace-xt 2,3` (resampling and jump length). @param {any} inpaint */
function inpaintText(inpaint) {
  switch (inpaint?.case) {
    case 'replaceX0':
      return 'replace-x0';
    case 'replaceXT':
      return `replace-xt ${inpaint.value.resampling},${inpaint.value.jumpLength}`;
    default:
      return '';
  }
}

/** The name of a field in a message: `clip_rule` → `clipRule`. @param {string} field */
function camelCase(field) {
  return field.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());
}
