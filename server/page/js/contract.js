// @ts-check
/**
 * The contract, ddpm.v1, as the server itself describes it: its descriptors are read at run time, so nothing here is
 * generated.
 */

import {
  Code, ConnectError, FileDescriptorSetSchema, create, createClient, createFileRegistry, createGrpcWebTransport,
  fromBinary, toJson,
} from '../vendor/connect.js';
import {milliseconds} from './wire.js';
import {counted} from './words.js';

/** @typedef {{number: number, name: string}} EnumValue */

/** Why a call failed, in words for people. */
export class Refusal extends Error {
  /**
   * @param {string} code such as `UNAVAILABLE`; empty if no server answered
   * @param {string} reason as in ErrorInfo, such as `QUEUE_FULL`; empty if the server gave none
   * @param {string} sentence
   * @param {{field: string, description: string}[]} violations what is wrong, field by field
   * @param {number | undefined} retryAfterMs when to come back, if the server says so
   */
  constructor(code, reason, sentence, violations = [], retryAfterMs = undefined) {
    super(sentence);
    this.code = code;
    this.reason = reason;
    this.sentence = sentence;
    this.violations = violations;
    this.retryAfterMs = retryAfterMs;
  }

  /** When to come back, in words; empty if the server does not say. */
  get later() {
    if (this.retryAfterMs === undefined) return '';
    return ` Come back in ${counted(Math.max(1, Math.ceil(this.retryAfterMs / 1000)), 'second')}.`;
  }

  /** Whether no server answered, or the connection broke. */
  get isConnection() {
    return this.code === '';
  }

  /** Whether the same request may succeed later. */
  get isTransient() {
    return this.isConnection || this.code === 'UNAVAILABLE' || (this.retryAfterMs !== undefined && this.code !== 'DEADLINE_EXCEEDED');
  }
}

export class Contract {
  #registry;

  /** @param {any} registry */
  constructor(registry) {
    this.#registry = registry;
    const transport = createGrpcWebTransport({baseUrl: location.origin});
    /** @param {string} name */
    const client = (name) => createClient(this.#found(registry.getService(`ddpm.v1.${name}`), name), transport);
    /** @type {any} */
    this.sampling = client('SamplingService');
    /** @type {any} */
    this.models = client('ModelService');
    /** @type {any} */
    this.server = client('ServerService');
  }

  /** Asks the server for its descriptors. */
  static async load() {
    let response;
    try {
      response = await fetch('/contract.binpb');
    } catch (error) {
      throw new Refusal('', '', 'The server does not answer.');
    }
    if (!response.ok) throw new Refusal('', '', `The server has no description of its contract (HTTP ${response.status}).`);
    const set = fromBinary(FileDescriptorSetSchema, new Uint8Array(await response.arrayBuffer()));
    return new Contract(createFileRegistry(set));
  }

  /**
   * Describes a message of ddpm.v1.
   * @param {string} name such as `GenerateRequest`
   * @returns {any}
   */
  message(name) {
    return this.#found(this.#registry.getMessage(`ddpm.v1.${name}`), name);
  }

  /**
   * Makes a message of ddpm.v1.
   * @param {string} name
   * @param {object} fields
   * @returns {any}
   */
  create(name, fields) {
    return create(this.message(name), fields);
  }

  /**
   * The values of an enum without the unspecified one, by their short names.
   * @param {string} name such as `Grid`
   * @returns {EnumValue[]} such as `{number: 2, name: 'trailing'}`
   */
  values(name) {
    const described = this.#found(this.#registry.getEnum(`ddpm.v1.${name}`), name);
    const prefix = described.values[0].name.replace(/UNSPECIFIED$/, '');
    return described.values.slice(1).map((/** @type {EnumValue} */ {number, name}) => ({
      number,
      name: name.slice(prefix.length).toLowerCase().replaceAll('_', '-'),
    }));
  }

  /**
   * @param {string} name of the message
   * @param {any} message
   */
  toJson(name, message) {
    return toJson(this.message(name), message, {registry: this.#registry});
  }

  /**
   * Says in words why a call failed.
   * @param {unknown} error
   * @returns {Refusal}
   */
  refusal(error) {
    if (error instanceof Refusal) return error;
    const failure = ConnectError.from(error);
    const info = this.#detail(failure, 'ErrorInfo');
    const retry = this.#detail(failure, 'RetryInfo');
    const code = codeName(failure.code);
    // What is no status of ours is what the browser says of a broken connection, or a proxy of a missing server.
    if (!info && ['UNKNOWN', 'UNAVAILABLE', 'ABORTED', 'DATA_LOSS'].includes(code)) {
      return new Refusal('', '', 'The connection to the server broke.', [], milliseconds(retry?.retryDelay));
    }
    // Each of our failures has it; without it, the client did not understand what came.
    if (!info && ['INTERNAL', 'INVALID_ARGUMENT'].includes(code)) {
      return new Refusal(code, '', 'The answer of the server cannot be read: reload the page, or try another server.');
    }
    const bad = this.#detail(failure, 'BadRequest')?.fieldViolations ?? [];
    const violations = bad.map((/** @type {any} */ one) => ({field: one.field, description: one.description}));
    const retryAfterMs = milliseconds(retry?.retryDelay);
    const reason = info?.reason ?? '';
    return new Refusal(code, reason, sentence(reason, failure.rawMessage), violations, retryAfterMs);
  }

  /**
   * @param {ConnectError} failure
   * @param {string} name
   * @returns {any}
   */
  #detail(failure, name) {
    const described = this.#registry.getMessage(`google.rpc.${name}`);
    return described ? failure.findDetails(described)[0] : undefined;
  }

  /**
   * @param {any} described
   * @param {string} name
   */
  #found(described, name) {
    if (!described) throw new Refusal('', '', `The server's contract has no ${name}: reload the page.`);
    return described;
  }
}

/**
 * Such as `RESOURCE_EXHAUSTED`.
 * @param {number} code
 */
function codeName(code) {
  const name = /** @type {Record<number, string>} */ (Code)[code] ?? 'Unknown';
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

/** What a refusal means, by its reason, where the server's own words do not begin with it. */
const MEANINGS = new Map([
  ['QUEUE_FULL', 'The server is full.'],
  ['TOO_MANY_CHECKS', 'The server is full.'],
  ['QUOTA_EXCEEDED', 'Your share of this server is used up.'],
  ['CLIENT_STALLED', 'This page did not read fast enough.'],
  ['MODEL_NOT_FOUND', 'The server no longer has this model: reload the page to see which it has.'],
  ['EXPECT_MISMATCH', 'The server changed since this run began, so the rest may differ: generate all again.'],
  ['RUNTIME_FAILED', 'The server failed; its log has the cause.'],
  ['MESSAGE_TOO_LARGE', 'The request is too large: use a smaller picture or fewer of them.'],
]);

/**
 * @param {string} reason
 * @param {string} said by the server
 */
function sentence(reason, said) {
  const meaning = MEANINGS.get(reason);
  const words = said ? `${said[0].toUpperCase()}${said.slice(1).replace(/\.$/, '')}.` : '';
  return [meaning, words].filter(Boolean).join(' ') || 'The server refused.';
}
