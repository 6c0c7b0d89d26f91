import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { daemonProof, driverProof, keyOf, newNonce } from '../../src/protocol/handshake.js';
import { eventually, within } from './eventually.js';

export const secret = 'a secret of the tests, long enough';

export interface Registration {
  name: string;
  instance: string;
  id: string;
  services: string[];
  stop: string;
  processId: number;
  states: { service: string; isMaster: boolean; token: number; unsettled?: boolean }[];
  [field: string]: unknown;
}

export interface Renewal {
  stamp: number;
  leftUs: number;
}

export interface Answer {
  result?: unknown;
  error?: { code: number; message: string };
}

export interface Call {
  id: number | string | undefined;
  method: string;
  params: Record<string, unknown>;
}

type Message = Answer & { id?: number | string; method?: string; params?: Record<string, unknown> };

/** A daemon over a real WebSocket that decides nothing: every answer is the test's. */
export class ScriptedDaemon {
  machine = 'cm-1';
  terms = { leaseUs: 1_000_000, renewEveryUs: 20_000, killTimeoutUs: 500_000, services: ['default'] };

  /** What a renewal is answered; undefined: not at all. */
  renew: (renewal: Renewal) => object | undefined = ({ stamp }) => ({ stamp, leftUs: 900_000 });

  /** Why a registration is refused; undefined: it is not. */
  refuse: (registration: Registration) => { code: number; message: string } | undefined = () => undefined;

  /** What the daemon knows as the secret. */
  secret = secret;

  readonly calls: Call[] = [];
  private readonly sides: DaemonSide[] = [];

  private constructor(private readonly server: WebSocketServer) {
    server.on('connection', (socket) => new Conversation(this, socket, (side) => this.sides.push(side)));
  }

  static async start(port = 0): Promise<ScriptedDaemon> {
    const server = new WebSocketServer({ host: '127.0.0.1', port, maxPayload: 262_144, handleProtocols: (offered) => (offered.has('clustd.v1') ? 'clustd.v1' : false) });
    await new Promise<void>((resolve, reject) => server.once('listening', resolve).once('error', reject));
    return new ScriptedDaemon(server);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`;
  }

  get client(): { secret: string; id: string; log: () => void } {
    return { secret, id: 'test-driver', log: () => {} };
  }

  /** What was told by one method, in order. */
  told(method: string): Record<string, unknown>[] {
    return this.calls.filter((call) => call.method === method).map((call) => call.params);
  }

  /** The next driver that registers. */
  async nextDriver(): Promise<DaemonSide> {
    await eventually(() => this.sides.length > 0, 'nobody registered');
    return this.sides.shift()!;
  }

  async close(): Promise<void> {
    for (const socket of this.server.clients) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** One registered driver, as the daemon sees it. */
export class DaemonSide {
  lastSequence = 0;
  closed: { code: number; reason: string } | undefined;
  private lastId = 1000;
  private readonly waiting = new Map<number | string, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();

  constructor(readonly socket: WebSocket, readonly registration: Registration) {
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      for (const { reject } of this.waiting.values()) reject(new Error('The connection was lost before the answer came.'));
    });
  }

  /** Tells the driver to start or stop; resolves with its answer. */
  trigger(isMaster: boolean, token: number, more: Record<string, unknown> = {}): Promise<Answer> {
    const params = { service: 'default', isMaster, token, reason: 'a test says so', sequence: ++this.lastSequence, limitUs: 10_000_000, kill: false, ...more };
    return this.request('trigger', params);
  }

  request(method: string, params: unknown, id: number | string = ++this.lastId): Promise<Answer> {
    const answer = new Promise<Answer>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.send({ jsonrpc: '2.0', id, method, params });
    return within(answer, `'${method}' ${JSON.stringify(params)} was not answered`);
  }

  cancel(sequence = this.lastSequence, service = 'default'): void {
    this.send({ jsonrpc: '2.0', method: 'cancel', params: { service, sequence } });
  }

  send(message: unknown): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Breaks the connection, without a word. */
  cut(): void {
    this.socket.terminate();
  }

  /** Takes an answer of the driver. */
  answered(message: Message): void {
    this.waiting.get(message.id!)?.resolve({ ...(message.error === undefined ? { result: message.result } : { error: message.error }) });
  }
}

class Conversation {
  private clientNonce = '';
  private readonly nonce = newNonce();
  private side: DaemonSide | undefined;
  private isProven = false;

  constructor(private readonly daemon: ScriptedDaemon, private readonly socket: WebSocket, private readonly registered: (side: DaemonSide) => void) {
    socket.on('message', (data) => this.take(JSON.parse(String(data)) as Message));
    socket.on('error', () => {}); // What breaks, the driver is asked about.
  }

  private take(message: Message): void {
    if (message.method === undefined) {
      this.side?.answered(message);
      return;
    }
    const params = message.params ?? {};
    this.daemon.calls.push({ id: message.id, method: message.method, params });
    const answer = (result: object): void => this.socket.send(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    const refuse = (code: number, text: string): void => this.socket.send(JSON.stringify({ jsonrpc: '2.0', id: message.id, error: { code, message: text } }));
    const key = keyOf(this.daemon.secret);
    switch (message.method) {
      case 'hello':
        this.clientNonce = String(params['nonce']);
        answer({ machine: this.daemon.machine, version: '0.0.0', nonce: this.nonce, proof: daemonProof(key, this.clientNonce, this.nonce) });
        break;
      case 'authenticate':
        this.isProven = params['proof'] === driverProof(key, this.clientNonce, this.nonce);
        if (this.isProven) answer({});
        else refuse(-32012, 'The proof is wrong.');
        break;
      case 'register': {
        const registration = params as unknown as Registration;
        const refusal = this.isProven ? this.daemon.refuse(registration) : { code: -32601, message: 'Not authenticated.' };
        if (refusal !== undefined) {
          refuse(refusal.code, refusal.message);
          break;
        }
        this.side = new DaemonSide(this.socket, registration);
        answer({ machine: this.daemon.machine, ...this.daemon.terms });
        this.registered(this.side);
        break;
      }
      case 'renew': {
        const renewed = this.daemon.renew(params as unknown as Renewal);
        if (renewed !== undefined) answer(renewed);
        break;
      }
      default:
        answer({});
    }
  }
}

/** A port that nobody has just now, below the range that the kernel takes ports for outgoing connections from. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const probe = await ScriptedDaemon.start(port).catch(() => undefined);
    if (probe === undefined) continue;
    await probe.close();
    return port;
  }
}
