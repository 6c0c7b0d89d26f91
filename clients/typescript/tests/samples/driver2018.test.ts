import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, consumer, Program } from '../harness/consumer.js';
import { eventually } from '../harness/eventually.js';
import { freePort, ScriptedDaemon, secret } from '../harness/scriptedDaemon.js';

// What the driver's author wrote in 2018. The only changes are the secret and the port, which belong to the cluster.
const sample = `export class TestDriver extends DriverMachine { constructor(dc: DriverClient, host: string) { super(dc, host); } trigger(isMaster: boolean): void { console.log('Master status:', isMaster); } }
const dc: DriverClient = { secret: '...', id: 'driver-test-' + crypto.randomBytes(4).readUInt32BE(0) }
const dm = new TestDriver(dc, 'ws://127.0.0.1:3001'); await dm.connect();
`;

/** Compiles the sample for this daemon; the program's file. */
async function compiled(name: string, url: string): Promise<string> {
  const text = readFileSync(join(consumer, 'typescript/driver2018.ts'), 'utf8');
  assert.ok(text.endsWith(sample), 'the sample is no longer the one of 2018');
  writeFileSync(join(consumer, `typescript/${name}.ts`), text.replace("'...'", `'${secret}'`).replace('ws://127.0.0.1:3001', url));
  await compile('--ignoreConfig', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--strict', '--esModuleInterop', `typescript/${name}.ts`);
  return `typescript/${name}.js`;
}

test('The driver of 2018 compiles and does what it did', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  const program = new Program(t, process.execPath, [await compiled('scripted', daemon.url)]);
  const side = await daemon.nextDriver();
  assert.match(side.registration.id, /^driver-test-\d+$/);
  assert.equal(side.registration.stop, 'certain');
  await side.trigger(false, 1);
  await program.says('Master status: false\n');
  await side.trigger(true, 2);
  await program.says('Master status: false\nMaster status: true\n');
  // Cut off for good: the stop comes from the driver itself.
  daemon.renew = ({ stamp }) => ({ stamp });
  side.cut();
  await eventually(() => program.stdout === 'Master status: false\nMaster status: true\nMaster status: false\n', () => program.output);
});

const bin = process.env['CLUSTD_BIN'];

test('The driver of 2018 follows a real daemon', { skip: bin === undefined || bin === '' ? '$CLUSTD_BIN is not set: there is no daemon to run' : false }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'clustd-2018-'));
  t.after(() => rmSync(home, { recursive: true }));
  const port = await freePort();
  const server = `{ bind_address: 127.0.0.1, bind_port: ${port}, remote_address: 'ws://127.0.0.1:${port}', data_dir: ${home}/data }`;
  writeFileSync(join(home, 'config.yml'), `server: ${server}\ncluster: { id: cm-1, secret: '${secret}', machines: [] }\n`);
  const program = new Program(t, process.execPath, [await compiled('real', `ws://127.0.0.1:${port}`)]);
  const run = (): Program => new Program(t, bin!, ['run', '--config', join(home, 'config.yml')], {}, home);
  const daemon = run();
  await program.says('Master status: true\n');

  // A daemon that says goodbye stops what runs; the driver waits for the next one.
  daemon.child.kill('SIGTERM');
  await daemon.ends();
  await program.says('Master status: true\nMaster status: false\n');
  const next = run();
  await program.says(/Master status: true\n(.*\n)*Master status: false\n(.*\n)*Master status: true\n/);

  // One that is killed does not: the driver stops by itself, when its lease is over.
  next.child.kill('SIGKILL');
  await program.says(/(Master status: true\n(.*\n)*Master status: false\n(.*\n)*){2}/);
  assert.equal(program.exitCode, undefined);
});
