// @ts-check
/**
 * Numbers of the contract that code depends on. Lists that people choose from (grids, clip rules, samplers) are read
 * from the descriptors instead, see contract.js.
 */

export const KIND_IMAGE = 1;

/** `ddpm.v1.Format` */
export const RAW_U8 = 1;
export const RAW_F32 = 2;

/** `ddpm.v1.PreviewKind` */
export const X_0 = 1;
export const X_T = 2;
export const BOTH = 3;

/** `ddpm.v1.Delivery` */
export const DELIVERY_LATEST = 1;
export const DELIVERY_ALL = 2;

/** `ddpm.v1.Grid` */
export const GRID_TIMESTEPS = 12;
export const GRID_SIGMAS = 13;

/**
 * What a server says of a model: `ddpm.v1.Model` as protobuf-es reads it.
 * @typedef {{
 *   name: string, version: string, kind: number, shape: number[], classNames: string[], timesteps: number,
 *   schedule: string, prediction: string, defaultSampler: any, defaultNumSteps: number, defaultGrid: number,
 *   alphasCumprod: number[], samplers: SamplerInfo[],
 *   edm?: {sigmaMin: number, sigmaMax: number, sigmaData: number},
 * }} Model
 */

/**
 * @typedef {{
 *   name: string, field: string, options: SamplerOption[], defaultNumSteps: number, encodes: boolean, singleStep: boolean,
 * }} SamplerInfo
 */

/** @typedef {{name: string, field: string, allowed: {case: string, value: any}}} SamplerOption */

/**
 * Elements of one sample.
 * @param {Model} model
 */
export const elementsOf = (model) => model.shape.reduce((product, n) => product * n, 1);

/** @param {Model} model */
export const isImage = (model) => model.kind === KIND_IMAGE;

/**
 * Height, width and channels of an image model.
 * @param {Model} model
 */
export function sizeOf(model) {
  const [channels, height, width] = model.shape;
  return {channels, height, width};
}

/**
 * A `google.protobuf.Duration` in milliseconds.
 * @param {{seconds: bigint, nanos: number} | undefined} duration
 */
export const milliseconds = (duration) => (duration ? Number(duration.seconds) * 1e3 + duration.nanos / 1e6 : undefined);
