// @ts-check
/** The last sentence for people, on the page and in screen readers. */

import {byId} from './dom.js';

/**
 * @param {string} sentence
 * @param {{isUrgent?: boolean}} options urgent: something went wrong
 */
export function announce(sentence, {isUrgent = false} = {}) {
  const notice = byId('notice');
  notice.setAttribute('role', isUrgent ? 'alert' : 'status');
  notice.textContent = sentence;
}
