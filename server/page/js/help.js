// @ts-check
/** What settings mean, in a sentence: a title for the pointer, a description for screen readers. */

import {byId} from './dom.js';

/** By the control's id. */
const CONTROLS = {
  steps: 'How many steps lead from noise to a sample. More take longer and are more accurate.',
  grid: 'Which noise levels the steps visit, and so where most of them are spent.',
  clip: 'Whether each prediction of the finished sample is limited to the values that data can have.',
  'guidance-slider': 'How much the class counts. At 1 the class is followed, above 1 it is exaggerated, at 0 it is ignored.',
  guidance: 'How much the class counts. At 1 or off the class is followed, above 1 it is exaggerated, at 0 it is ignored.',
  'guidance-min': 'Guidance acts only at noise levels σ from here on.',
  'guidance-max': 'Guidance acts only at noise levels σ up to here.',
  'inpaint-method': 'Simple: at each step the known part replaces that of the prediction. RePaint: the known part gets noise and each step has several passes, so that the new part fits it.',
};

/** By the name of a sampler's option. */
const OPTIONS = new Map([
  ['eta', 'How much new noise each step adds: 0 adds none, 1 the full amount.'],
  ['clip-rule', 'What becomes of the predicted noise when the prediction of the finished sample is clipped.'],
]);

/** Explains the controls that are always on the page. */
export function explainControls() {
  for (const [id, sentence] of Object.entries(CONTROLS)) explain(byId(id), sentence);
}

/**
 * Explains an option of a sampler, if there is something to say.
 * @param {HTMLElement} control on the page
 * @param {string} name of the option
 */
export function explainOption(control, name) {
  const sentence = OPTIONS.get(name);
  if (sentence) explain(control, sentence);
}

/**
 * @param {any} control
 * @param {string} sentence
 */
function explain(control, sentence) {
  const help = document.createElement('p');
  help.id = `${control.id}-help`;
  help.hidden = true;
  help.textContent = sentence;
  control.after(help);
  for (const one of [control, ...control.labels]) one.title = sentence;
  const described = control.getAttribute('aria-describedby');
  control.setAttribute('aria-describedby', described ? `${described} ${help.id}` : help.id);
}
