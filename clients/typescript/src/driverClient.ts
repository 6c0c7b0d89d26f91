import { randomBytes } from 'node:crypto';
import { basename, extname } from 'node:path';

/**
 * What a driver promises about its stops. Promise P2 (masters never overlap) holds for services whose drivers all stop for certain.
 *
 * - `certain`: once the lease is over and `kill_timeout` has passed, nothing of this driver is running. The SDK keeps the promise by ending its own process
 *   (SIGKILL) when a stop has not returned shortly before that deadline, also when the event loop is blocked. Child processes are not covered.
 * - `best-effort`: it tries to stop and cannot promise more; or the process must not be ended. The daemon is told so, and `clustd status` names the services.
 * - `certain-by-guard`: as `certain`, but something outside of this process keeps the promise, by a timer of its own. To claim this without such a guard is to
 *   let two masters run.
 */
export type StopGuarantee = 'certain' | 'best-effort' | 'certain-by-guard';

export type DriverLogLevel = 'debug' | 'info' | 'warning' | 'error';

/** How a driver presents itself to the daemon. */
export interface DriverClient {
  /** The cluster's secret. It is proven, never sent. */
  secret: string;

  /** Shown in `clustd status` and in logs. Default: the program's name and eight hex digits, for example `web-1f0c22ab`. */
  id?: string;

  /** The daemon lets one instance per machine and name be active. Default: `id`, or the program's name if there is no `id`. */
  name?: string;

  /** The services to be triggered for; empty or absent: the cluster's default service. */
  services?: readonly string[];

  /** Drivers of a service start in ascending order, and stop in descending order. */
  order?: number;

  /** Said for people to see. What makes a driver required is the machine's own file, or the service that names it. */
  required?: boolean;

  /** Default: `certain`. */
  stop?: StopGuarantee;

  /** How long a planned stop of this driver may take, milliseconds; absent: what the service allows. The daemon refuses a driver that needs more than that. */
  stopTimeoutMs?: number;

  /** How long this driver needs to stop when its lease is over, milliseconds; absent: what the service allows. The daemon refuses a driver that needs more. */
  killTimeoutMs?: number;

  /**
   * Ids of the machines that this driver can turn off. For services that require fencing it is told before all other drivers, and `takesOverFrom` of its trigger
   * names those that must be off before it returns.
   */
  fences?: readonly string[];

  /** What the SDK has to say. Default: warnings and errors go to stderr. */
  log?: (level: DriverLogLevel, text: string) => void;

  /** For tests: the clock that the lease is counted on, microseconds. One for production must count sleep, must never go back, and must run right within 1 %. */
  clock?: () => number;

  /**
   * For tests, which must survive it: what ends the process at the deadline of a stop; gets the reason. Absent: a line to stderr and SIGKILL. One that returns
   * and leaves the process running breaks the promise of `certain`. With it there is no watchdog thread.
   */
  endProcess?: (message: string) => void;
}

/** A `DriverClient` with all its defaults, and durations as the protocol has them. */
export interface EffectiveClient {
  readonly secret: string;
  readonly id: string;
  readonly name: string;
  readonly services: readonly string[];
  readonly order: number;
  readonly required: boolean;
  readonly stop: StopGuarantee;
  readonly stopTimeoutUs: number | undefined;
  readonly killTimeoutUs: number | undefined;
  readonly fences: readonly string[];
}

const programName = basename(process.argv[1] ?? '', extname(process.argv[1] ?? '')) || 'driver';

/** Checks what was given and adds what was not. The programs that call this may be JavaScript: no type has looked at it before. */
export function effectiveClient(client: DriverClient): EffectiveClient {
  if (typeof client !== 'object' || client === null || typeof client.secret !== 'string' || client.secret === '')
    throw new TypeError('Cannot make a driver without a secret: the daemon would refuse it. Set `secret` to the value of cluster.secret.');
  const id = client.id ?? `${programName}-${randomBytes(4).toString('hex')}`; // Eight digits: two copies of one program on a machine are told apart in logs.
  const stop = client.stop ?? 'certain';
  check(typeof id === 'string' && id !== '', 'id', 'it must be a text that is not empty');
  check(client.name === undefined || (typeof client.name === 'string' && client.name !== ''), 'name', 'it must be a text that is not empty');
  check(stop === 'certain' || stop === 'best-effort' || stop === 'certain-by-guard', 'stop', "it must be 'certain', 'best-effort' or 'certain-by-guard'");
  for (const name of ['services', 'fences'] as const)
    check(client[name] === undefined || (Array.isArray(client[name]) && client[name].every((each) => typeof each === 'string')), name, 'it must be a list of names');
  check(client.order === undefined || Number.isSafeInteger(client.order), 'order', 'it must be a whole number');
  for (const name of ['stopTimeoutMs', 'killTimeoutMs'] as const) {
    const ms = client[name];
    check(ms === undefined || (typeof ms === 'number' && Number.isFinite(ms) && ms >= 0), name, 'it must be milliseconds, zero or more');
  }
  return {
    secret: client.secret,
    id,
    name: client.name ?? client.id ?? programName,
    services: [...(client.services ?? [])],
    order: client.order ?? 0,
    required: client.required === true,
    stop,
    stopTimeoutUs: microseconds(client.stopTimeoutMs),
    killTimeoutUs: microseconds(client.killTimeoutMs),
    fences: [...(client.fences ?? [])],
  };
}

function check(isRight: boolean, name: string, why: string): void {
  if (!isRight) throw new TypeError(`Cannot use \`${name}\` of this DriverClient: ${why}. Correct it.`);
}

function microseconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 1000);
}
