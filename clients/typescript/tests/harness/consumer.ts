import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './eventually.js';

/** The project of a stranger that clients/typescript/test has made: samples beside the packed package. */
export const consumer = join(__dirname, '../../../build/consumer');

const tsc = join(__dirname, '../../../node_modules/typescript/bin/tsc');

/** Compiles, and throws what the compiler says. */
export async function compile(...args: string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [tsc, ...args], { cwd: consumer }).catch((error: { stdout: string }) => {
    throw new Error(error.stdout);
  });
}

/** A program that runs, and what it has said. It ends with the test. */
export class Program {
  output = ''; // All of it.
  stdout = '';
  exitCode: number | null | undefined;
  signal: NodeJS.Signals | null = null;
  readonly child: ChildProcess;

  constructor(test: { after(fn: () => Promise<void>): void }, command: string, args: string[], env: Record<string, string> = {}, cwd = consumer) {
    this.child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.on('data', (text: string) => (this.stdout += text));
    for (const stream of [this.child.stdout!, this.child.stderr!]) stream.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.child.once('close', (code, signal) => ([this.exitCode, this.signal] = [code, signal]));
    test.after(async () => {
      this.child.kill('SIGKILL');
      await eventually(() => this.exitCode !== undefined, 'it does not end');
    });
  }

  async says(text: string | RegExp): Promise<void> {
    await eventually(() => (typeof text === 'string' ? this.output.includes(text) : text.test(this.output)), () => `it has not said ${text}, but:\n${this.output}`);
  }

  async ends(): Promise<void> {
    await eventually(() => this.exitCode !== undefined, () => `it does not end:\n${this.output}`);
  }
}
