import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compile, consumer, Program } from '../harness/consumer.js';
import { ScriptedDaemon, secret } from '../harness/scriptedDaemon.js';

const strict = ['--ignoreConfig', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--strict', '--exactOptionalPropertyTypes', '--noImplicitOverride'];

test('The package has its code, its types, its licence and nothing else', () => {
  const home = join(consumer, 'node_modules/clustd-client');
  for (const file of ['dist/index.js', 'dist/index.mjs', 'dist/index.d.ts', 'dist/index.d.mts', 'README.md', 'LICENSE']) assert.ok(existsSync(join(home, file)), file);
  for (const file of ['src', 'tests', 'test', 'build', 'conformance', '.npmrc']) assert.equal(existsSync(join(home, file)), false, file);
  const { dependencies, engines, license } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Record<string, unknown>;
  assert.deepEqual([dependencies, engines, license], [{ ws: '^8.18.0' }, { node: '>=20' }, 'MIT']);
  assert.equal(readFileSync(join(home, 'LICENSE'), 'utf8'), readFileSync(join(consumer, '../../../../LICENSE'), 'utf8'));
});

test('It is the same package for `import` and for `require`, with types for both', async (t) => {
  mkdirSync(join(consumer, 'both'), { recursive: true });
  const body = `
class D extends DriverMachine { async trigger(isMaster: boolean, { lease, signal }: TriggerContext): Promise<void> { console.log(isMaster, lease?.isValid, signal.aborted); } }
const d: DriverMachine = new D({ secret: 's' }, 'ws://127.0.0.1:1');
console.log(d.name, DriverRefusedError.name);
`;
  writeFileSync(join(consumer, 'both/esm.mts'), `import { DriverMachine, DriverRefusedError, type TriggerContext } from 'clustd-client';${body}`);
  writeFileSync(
    join(consumer, 'both/cjs.cts'),
    `import { DriverMachine, DriverRefusedError, type TriggerContext } from 'clustd-client';${body}
import('clustd-client').then((esm) => console.log('the same:', esm.DriverMachine === DriverMachine && esm.DriverRefusedError === DriverRefusedError));
`,
  );
  await compile(...strict, 'both/esm.mts', 'both/cjs.cts');
  for (const [file, said] of [['both/esm.mjs', 'esm DriverRefusedError\n'], ['both/cjs.cjs', 'cjs DriverRefusedError\nthe same: true\n']] as const) {
    const program = new Program(t, process.execPath, [file]);
    await program.ends();
    assert.equal(program.output, said);
    assert.equal(program.exitCode, 0);
  }
});

test('A driver that forgets to say what to do is a mistake of the compiler\'s', async () => {
  writeFileSync(join(consumer, 'both/wrong.mts'), "import { DriverMachine } from 'clustd-client';\nclass D extends DriverMachine {}\nnew D({ secret: 's' }, 'h');\n");
  await assert.rejects(compile(...strict, '--noEmit', 'both/wrong.mts'), /trigger/);
});

test('What the README shows is what compiles', async () => {
  const readme = readFileSync(join(consumer, 'node_modules/clustd-client/README.md'), 'utf8');
  const [whole, method, ...rest] = [...readme.matchAll(/```ts\n([^]*?)```/g)].map((match) => match[1]);
  assert.equal(rest.length, 0);
  const frame = `import { DriverMachine, type Lease, type TriggerContext } from 'clustd-client';
export class D extends DriverMachine {\n  private working = Promise.resolve();\n  private async work(_: Lease): Promise<void> {}\n${method}\n}\n`;
  writeFileSync(join(consumer, 'both/readme.mts'), whole!);
  writeFileSync(join(consumer, 'both/method.mts'), frame);
  await compile(...strict, '--noEmit', 'both/readme.mts', 'both/method.mts');
});

test('The driver in thirty lines counts while it is master, and ends when it is told to', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  await compile('-p', 'typescript', '--skipLibCheck', '--noEmitOnError');
  assert.ok(readFileSync(join(consumer, 'typescript/driver.ts'), 'utf8').split('\n').length <= 32);
  const program = new Program(t, process.execPath, ['typescript/driver.js', secret, daemon.url]);
  await program.says('connected to cm-1');
  const side = await daemon.nextDriver();
  assert.deepEqual(await side.trigger(true, 2), { result: {} });
  await program.says('start under token 2');
  assert.deepEqual(await side.trigger(false, 2), { result: {} });
  await program.says(/stopped at \d+/);
  await side.trigger(true, 3);
  program.child.kill('SIGTERM');
  await program.ends();
  assert.equal(program.exitCode, 0);
  assert.equal(daemon.told('stopped')[0]!['token'], 3);
});

test('The sample says so when the secrets differ', async (t) => {
  const daemon = await ScriptedDaemon.start();
  t.after(() => daemon.close());
  const program = new Program(t, process.execPath, ['typescript/driver.js', 'another secret', daemon.url]);
  await program.ends();
  assert.match(program.output, /DriverRefusedError: .+Use the same secret here as in cluster\.secret there/);
  assert.notEqual(program.exitCode, 0);
});
