// @ts-check
/** Numbers as people read them. */

const WHOLE = new Intl.NumberFormat('en', {maximumFractionDigits: 0});

/** @param {number | bigint} number */
export const whole = (number) => WHOLE.format(number);

/**
 * Such as `3 samples`.
 * @param {number} count
 * @param {string} noun
 * @param {string} plural
 */
export const counted = (count, noun, plural = `${noun}s`) => `${whole(count)} ${count === 1 ? noun : plural}`;

/**
 * Such as `Sample 18, class 2`.
 * @param {number} k
 * @param {string} className empty if it has none
 */
export const sampleName = (k, className) => (className ? `Sample ${k}, class ${className}` : `Sample ${k}`);

/**
 * Such as `2.4 s` or `3 min 5 s`.
 * @param {number} milliseconds
 */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 0.95) return `${Math.max(10, Math.round(milliseconds / 10) * 10)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const rounded = Math.round(seconds);
  return rounded < 60 ? `${rounded} s` : `${Math.floor(rounded / 60)} min ${rounded % 60} s`;
}
