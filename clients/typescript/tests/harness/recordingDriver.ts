import { DriverMachine, type DriverClient, type Lease, type TriggerContext } from '../../src/index.js';
import { eventually } from './eventually.js';
import { type DaemonSide, ScriptedDaemon } from './scriptedDaemon.js';

/** Something that a test opens when it wants to. */
export class Gate {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

/** A driver that writes down what it is told, and does what the test says. */
export class RecordingDriver extends DriverMachine {
  /** "start 2", "started 2", "stop 2 kill", ... */
  readonly story: string[] = [];
  readonly contexts: TriggerContext[] = [];

  onStart: (context: TriggerContext) => void | Promise<void> = () => {};
  onStop: (context: TriggerContext) => void | Promise<void> = () => {};

  override async trigger(isMaster: boolean, context: TriggerContext): Promise<void> {
    this.contexts.push(context);
    const what = isMaster ? 'start' : 'stop';
    const name = `${context.service === 'default' ? '' : `${context.service} `}${context.token}${context.kill ? ' kill' : ''}`;
    this.story.push(`${what} ${name}`);
    await (isMaster ? this.onStart : this.onStop)(context);
    this.story.push(`${isMaster ? 'started' : 'stopped'} ${name}`);
  }

  /** Waits until this has happened. */
  async happens(what: string): Promise<void> {
    await eventually(() => this.story.includes(what), () => `'${what}' did not happen, but: ${this.story.join(', ')}`);
  }

  /** A stop or start that hangs: until the test is over. */
  readonly hang = (): Promise<void> => this.over.opened;
  readonly over = new Gate();

  get lease(): Lease {
    return this.leaseOf()!;
  }
}

export interface Stage {
  daemon: ScriptedDaemon;
  driver: RecordingDriver;
  side: DaemonSide;
}

/** A daemon, and a driver that is registered with it. Both end with the test. */
export async function stage(
  test: { after(fn: () => Promise<void>): void },
  client: Partial<DriverClient> = {},
  prepare: (daemon: ScriptedDaemon) => void = () => {},
): Promise<Stage> {
  const daemon = await ScriptedDaemon.start();
  prepare(daemon);
  const driver = new RecordingDriver({ ...daemon.client, ...client }, daemon.url);
  test.after(async () => {
    driver.onStop = () => {};
    driver.over.open();
    await driver.close();
    await daemon.close();
  });
  await driver.connect();
  return { daemon, driver, side: await daemon.nextDriver() };
}
