import { isObject } from './rpc.js';

// What the daemon says, checked: every reader gives undefined for what makes no sense. Unknown fields are ignored, so that a daemon may be newer. Durations are
// microseconds (Us), instants are on the sender's own clock.

export interface HelloResult {
  nonce: string;
  proof: unknown;
  oldProof: unknown;
}

export interface RegisterResult {
  machine: string;
  leaseUs: number;
  renewEveryUs: number;
  killTimeoutUs: number;
  services: string[];
}

export interface RenewResult {
  stamp: number;
  leftUs: number | undefined;
  shortens: boolean;
}

export interface TriggerParams {
  service: string;
  isMaster: boolean;
  token: number;
  reason: string;
  sequence: number;
  limitUs: number;
  kill: boolean;
  takesOverFrom: string[];
}

/**
 * What a reconnecting driver may be running: `isMaster` is true from the moment a start BEGINS until a stop has SUCCEEDED. `unsettled`: it may be running, but
 * the driver cannot say that it does: a start or stop is in flight, or has failed.
 */
export interface DriverState {
  service: string;
  isMaster: boolean;
  token: number;
  unsettled: boolean;
}

export function readRegisterResult(value: unknown): RegisterResult | undefined {
  if (!isObject(value)) return undefined;
  const { machine, leaseUs, renewEveryUs, killTimeoutUs } = value;
  const services = value['services'] ?? [];
  if (typeof machine !== 'string' || !isWhole(leaseUs) || !isWhole(renewEveryUs) || !isWhole(killTimeoutUs)) return undefined;
  if (!Array.isArray(services) || !services.every((service) => typeof service === 'string')) return undefined;
  return renewEveryUs >= 1000 && leaseUs >= renewEveryUs && killTimeoutUs >= 0 ? { machine, leaseUs, renewEveryUs, killTimeoutUs, services } : undefined;
}

export function readRenewResult(value: unknown): RenewResult | undefined {
  if (!isObject(value)) return undefined;
  const stamp = value['stamp'];
  const leftUs = value['leftUs'] ?? undefined;
  const shortens = value['shortens'] ?? false;
  if (typeof stamp !== 'number' || (leftUs !== undefined && typeof leftUs !== 'number') || typeof shortens !== 'boolean') return undefined;
  return { stamp, leftUs, shortens };
}

export function readTrigger(value: unknown): TriggerParams | undefined {
  if (!isObject(value)) return undefined;
  const { service, isMaster, token, sequence } = value;
  const reason = value['reason'] ?? '';
  const limitUs = value['limitUs'] === undefined ? 0 : value['limitUs'];
  const kill = value['kill'] === undefined ? false : value['kill'];
  if (typeof service !== 'string' || typeof isMaster !== 'boolean' || !isWhole(token) || !isWhole(sequence)) return undefined;
  const takesOverFrom = value['takesOverFrom'] ?? [];
  if (typeof reason !== 'string' || !isWhole(limitUs) || typeof kill !== 'boolean') return undefined;
  if (!Array.isArray(takesOverFrom) || !takesOverFrom.every((machine) => typeof machine === 'string')) return undefined; // To overlook it would be to start without a fence.
  return { service, isMaster, token, reason, sequence, limitUs, kill, takesOverFrom };
}

export function readCancel(value: unknown): { service: string; sequence: number } | undefined {
  if (!isObject(value) || typeof value['service'] !== 'string' || !isWhole(value['sequence'])) return undefined;
  return { service: value['service'], sequence: value['sequence'] };
}

// Above 2^53 a number is still whole but no longer exact: no token or sequence is ever that large, a limit may be.
function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}
