// @ts-check
/** What the server found wrong with a request, said at the controls that it is about. */

import {byId, nameOf, setError} from './dom.js';

/** Which control a field of a request belongs to, by the beginning of its path; the first that fits. */
const PLACES = [
  ['model', 'model'], ['version', 'model'], ['num_steps', 'steps'], ['grid', 'grid'], ['clip', 'clip'],
  ['dynamic_threshold', 'clip'], ['class_labels', 'classes'], ['guidance.sigma_min', 'guidance-min'],
  ['guidance.sigma_max', 'guidance-max'], ['guidance', 'guidance'], ['seed', 'seed'], ['samples', 'count'],
  ['sample_count', 'count'], ['index_ranges', 'count'], ['initial.images.strength', 'strength'],
  ['initial.images', 'upload'], ['initial.states', 'forward'], ['initial', 'upload'],
  ['inpaint.replace_x_t', 'resampling'], ['inpaint', 'inpaint'], ['sampler', 'sampler'],
];

/** Such as `in [0, 1]` or `in 1..=1000`. */
const RANGE = /\bin (?:\[(\S+), (\S+)\]|(\S+)\.\.=(\S+))(?=,|$)/;

/**
 * Says at the controls what is wrong.
 * @param {{field: string, description: string}[]} violations
 * @param {boolean} isOther whether they are of the second run
 * @returns {{field: string, description: string}[]} those that have no control
 */
export function showViolations(violations, isOther) {
  return violations.filter(({field, description}) => {
    const id = placeOf(field, isOther);
    if (!id || byId(`${id}-error`).closest('[hidden]:not(.error)')) return true;
    setError(id, sentenceOf(nameOf(id), field, description));
    return false;
  });
}

/**
 * What is wrong, with the name that the control has on the page and ranges in words.
 * @param {string} name
 * @param {string} field such as `num_steps`
 * @param {string} description such as `num_steps must be at most 1000` or `must be at most 1000`
 */
function sentenceOf(name, field, description) {
  const said = description.replaceAll(field, name).replace(RANGE, (_, a, b, c, d) => `from ${a ?? c} to ${b ?? d}`);
  return /^(must|may|needs|has|holds|cost)\b/.test(said) ? `${name} ${said}` : said;
}

/**
 * The control of a field of a request.
 * @param {string} field such as `sampler.ddim.eta`
 * @param {boolean} isOther
 * @returns {string | undefined}
 */
function placeOf(field, isOther) {
  if (isOther) return {model: 'model-b', num_steps: 'steps-b', sampler: 'sampler-b', guidance: 'guidance-b'}[field.split('.')[0]];
  const option = `option-${field.split('.')[2]}`;
  if (field.startsWith('sampler.') && document.getElementById(option)) return option;
  return PLACES.find(([path]) => field.startsWith(path))?.[1];
}
