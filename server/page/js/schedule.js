// @ts-check
/**
 * The forward process of a model: x at a level = signal · x_0 + noise · eps.
 *
 * A level is what the model's grids count in: a timestep of a schedule of betas, 1000 t of a flow, sigma of EDM.
 */

import {GRID_SIGMAS, GRID_TIMESTEPS} from './wire.js';

/** @typedef {import('./wire.js').Model} Model */

/** Positions of a slider over levels that are no timesteps. */
const POSITIONS = 1000;
/** Karras et al. 2022, equation 5. */
const RHO = 7;

/**
 * The last position of a slider over the levels; the first is 0.
 * @param {Model} model
 */
export const lastPosition = (model) => (model.alphasCumprod.length > 0 ? model.alphasCumprod.length - 1 : POSITIONS);

/**
 * @param {Model} model
 * @param {number} position of a slider
 */
export function levelAt(model, position) {
  if (!model.edm) return position;
  const {sigmaMin, sigmaMax} = model.edm;
  return sigmaMin * (sigmaMax / sigmaMin) ** (position / POSITIONS);
}

/**
 * The position of a slider for a level.
 * @param {Model} model
 * @param {number} level
 */
export function positionOf(model, level) {
  if (!model.edm) return Math.round(level);
  const {sigmaMin, sigmaMax} = model.edm;
  return Math.round((POSITIONS * Math.log(level / sigmaMin)) / Math.log(sigmaMax / sigmaMin));
}

/**
 * @param {Model} model
 * @param {number} level
 * @returns {{signal: number, noise: number}}
 */
export function mixAt(model, level) {
  if (model.edm) return {signal: 1, noise: level};
  if (model.alphasCumprod.length === 0) return {signal: 1 - level / POSITIONS, noise: level / POSITIONS};
  const alphaBar = model.alphasCumprod[Math.round(level)];
  return {signal: Math.sqrt(alphaBar), noise: Math.sqrt(1 - alphaBar)};
}

/**
 * The noise level of the contract's previews, sqrt(1 - ᾱ): from 0, data, to 1, noise.
 * @param {Model} model
 * @param {number} level
 */
export function noiseLevelAt(model, level) {
  const {signal, noise} = mixAt(model, level);
  return noise / Math.hypot(signal, noise);
}

/**
 * Says a level in words.
 * @param {Model} model
 * @param {number} level
 */
export function describe(model, level) {
  const {signal, noise} = mixAt(model, level);
  const ratio = noise === 0 ? '∞' : ((signal / noise) ** 2).toPrecision(2);
  if (model.edm) return `σ = ${level.toPrecision(3)}, signal to noise ${ratio}`;
  if (model.alphasCumprod.length === 0) return `t = ${(level / POSITIONS).toFixed(3)}, signal to noise ${ratio}`;
  return `t = ${level}, ᾱ = ${(signal ** 2).toFixed(3)}, signal to noise ${ratio}`;
}

/**
 * Noises x_0 to a level.
 * @param {Model} model
 * @param {number} level
 * @param {Float32Array} x_0
 * @param {Float32Array} eps
 */
export function addNoise(model, level, x_0, eps) {
  const {signal, noise} = mixAt(model, level);
  return x_0.map((x, k) => signal * x + noise * eps[k]);
}

/**
 * The grid of a run that starts at a level: fields of a GenerateRequest.
 * @param {Model} model
 * @param {number} level
 * @param {number} numSteps of a whole run
 */
export function gridFrom(model, level, numSteps) {
  if (model.edm) {
    const steps = Math.max(1, Math.round((numSteps * positionOf(model, level)) / POSITIONS));
    return {grid: GRID_SIGMAS, gridOptions: {sigmas: karras(level, model.edm.sigmaMin, steps)}};
  }
  const isFlow = model.alphasCumprod.length === 0;
  const length = isFlow ? level : level + 1;
  const whole = isFlow ? POSITIONS : model.alphasCumprod.length;
  const steps = Math.max(1, Math.min(Math.round((numSteps * length) / whole), Math.ceil(length)));
  const timesteps = Array.from({length: steps}, (_, k) => level - Math.round((k * length) / steps));
  return {grid: GRID_TIMESTEPS, gridOptions: {timesteps}};
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} steps
 */
function karras(from, to, steps) {
  const [a, b] = [from ** (1 / RHO), to ** (1 / RHO)];
  const sigmas = Array.from({length: steps}, (_, k) => (a + (k / Math.max(1, steps - 1)) * (b - a)) ** RHO);
  return [...sigmas, 0];
}
