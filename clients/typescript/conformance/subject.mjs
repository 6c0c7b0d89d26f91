// Says what happens to a driver, and does what it is told: clients/conformance/README.md. Nothing here but the public API of the SDK.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { DriverMachine, DriverRefusedError } from 'clustd-client';

const { env } = process;
const number = (text) => (text ? Number(text) : undefined);
const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));
const say = (event, fields = {}) => {
  const line = Buffer.from(`${JSON.stringify({ event, ...fields })}\n`);
  for (let at = 0; at < line.length; ) at += writeSync(1, line, at);
};
const block = (ms) => {
  for (const until = performance.now() + ms; performance.now() < until; );
};

const doing = { true: {}, false: {} }; // How starts and stops are done.
const leases = new Map(); // By service, of the newest start.
let release = () => {};
let released = new Promise((resolve) => (release = resolve));

class Subject extends DriverMachine {
  async trigger(isMaster, { service, token, reason, kill, lease, signal, takesOverFrom }) {
    const call = { service, isMaster, token };
    say('begin', { ...call, reason, kill, lease: lease !== undefined, takesOverFrom });
    if (isMaster) {
      leases.set(service, lease);
      lease.signal.addEventListener('abort', () => say('over', { service, token }));
    }
    const { holds, ignores, fails, blocksMs } = doing[isMaster];
    let isOver = false;
    let said = false;
    const cancelled = () => {
      if (!said && !isOver) say('cancelled', call);
      said = true;
    };
    const gone = new Promise((resolve) => signal.addEventListener('abort', resolve));
    signal.addEventListener('abort', () => ignores && cancelled());
    if (blocksMs) block(blocksMs);
    if (holds) await (ignores ? released : Promise.race([released, gone]));
    if (signal.aborted) cancelled();
    say('end', call);
    isOver = true;
    if (signal.aborted && !ignores) throw signal.reason;
    if (fails) throw new Error(fails);
  }
}

const driver = new Subject(
  given({
    secret: env.CLUSTD_SECRET,
    name: env.CLUSTD_NAME,
    id: env.CLUSTD_ID,
    services: env.CLUSTD_SERVICES?.split(','),
    order: number(env.CLUSTD_ORDER),
    stop: env.CLUSTD_STOP,
    stopTimeoutMs: number(env.CLUSTD_STOP_TIMEOUT_MS),
    killTimeoutMs: number(env.CLUSTD_KILL_TIMEOUT_MS),
    fences: env.CLUSTD_FENCES?.split(','),
    log: (level, text) => say('log', { level, text }),
  }),
  env.CLUSTD_URL,
);

const commands = {
  behave: ({ isMaster, ...how }) => void (doing[isMaster] = how),
  release: () => {
    release();
    released = new Promise((resolve) => (release = resolve));
  },
  lease: ({ service }) => {
    const lease = leases.get(service);
    say('lease', lease ? { service, token: lease.token, isValid: lease.isValid, remainingUs: Math.round(lease.remainingMs * 1000) } : { service, isValid: false });
  },
};
const begun = {
  freeze: ({ ms }) => block(ms),
  failed: ({ id, service, text }) => reported(id, driver.reportFailed(service, text)),
  health: ({ id, service, ok, text }) => reported(id, driver.reportHealth(service, ok, text)),
  event: ({ id, level, text }) => reported(id, driver.reportEvent(level, text)),
  close: () => driver.close().then(() => (say('closed'), process.exit(0))),
};
const reported = (id, report) => report.then(() => say('reported', { id }), (error) => say('reported', { id, error: error.message }));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { id, do: what, ...fields } = JSON.parse(line);
    commands[what]?.(fields);
    say('did', { id });
    begun[what]?.({ id, ...fields });
  })
  .on('close', () => process.exit(0));

driver.connect().then(() => say('connected'), (error) => {
  if (!(error instanceof DriverRefusedError)) throw error;
  say('refused', { text: error.message });
  process.exit(1);
});
