import { WebSocket } from 'ws';
import { ConnectionError, DriverRefusedError, reasonOf } from '../errors.js';
import { daemonProof, driverProof, isNonce, keyOf, matches, newNonce } from '../protocol/handshake.js';
import { errorCodes, isObject, messageBytesMax, parseMessage, rpcError, type RpcError, type RpcMessage } from '../protocol/rpc.js';
import type { DaemonAddress } from './daemonAddress.js';

const openLimitMs = 5_000; // TCP, HTTP, proofs and register together.
const closeLimitMs = 1_000;

// Answers to a thousand triggers fit in: more than this means that the daemon does not read.
const outgoingBytesMax = 4 * 1024 * 1024;

type Answered = (answer: RpcMessage | undefined) => void;

/** One authenticated connection to the daemon. Nothing here waits: what is sent goes out by itself, answers and messages come to the functions that were given. */
export class DaemonLink {
  /** Requests and notifications of the daemon. Requests that come before it is set are refused: the driver is not registered yet. */
  received: ((message: RpcMessage) => void) | undefined;

  /** Called once when the connection has ended, with the reason. */
  endedBy: ((reason: string) => void) | undefined;

  /** Called with every message, before anything is done with it. */
  awake: (() => void) | undefined;

  private readonly socket: WebSocket;
  private settleEnded!: () => void;
  private readonly ended = new Promise<void>((resolve) => (this.settleEnded = resolve));
  private readonly unanswered = new Map<number, Answered>();
  private readonly openTimer: NodeJS.Timeout;
  private lastId = 0;
  private reason: string | undefined; // Why it has ended.
  private isClosing = false; // We have said goodbye: what is sent already still goes out, nothing else does.

  private constructor(private readonly address: DaemonAddress) {
    this.socket = new WebSocket(address.url, 'clustd.v1', { maxPayload: messageBytesMax, perMessageDeflate: false, followRedirects: false });
    this.socket.on('message', (data, isBinary) => this.read(data as Buffer, isBinary));
    this.socket.on('error', (error) => this.abort(reasonOf(error)));
    this.socket.on('close', (code, reason) => this.abort(`the daemon closed it${reason.length > 0 ? `: ${reason.toString('utf8').replace(/\.$/, '')}` : code === 1006 ? '' : ` (${code})`}`));
    this.openTimer = setTimeout(() => this.abort(`it took longer than ${openLimitMs / 1000} s to connect`), openLimitMs);
  }

  /**
   * Connects and has both sides prove the secret. Rejects with `DriverRefusedError` or `ConnectionError`.
   * @param begun Gets the link at once, so that it can be given up.
   */
  static async open(address: DaemonAddress, secret: string, name: string, begun: (link: DaemonLink) => void): Promise<DaemonLink> {
    const link = new DaemonLink(address);
    begun(link);
    try {
      await new Promise<void>((resolve, reject) => {
        link.socket.once('open', resolve);
        link.endedBy = (reason) => reject(new Error(reason));
      });
      await link.authenticate(secret, name);
      return link;
    } catch (error) {
      link.abort('it was given up');
      if (error instanceof DriverRefusedError) throw error;
      throw new ConnectionError(`Cannot connect to the daemon at ${address}: ${reasonOf(error)}. Start clustd there or correct the address.`);
    } finally {
      link.endedBy = undefined;
    }
  }

  /** Whether it is over, and why. */
  get endReason(): string | undefined {
    return this.reason;
  }

  /** Registered: what comes from now on may take its time. */
  opened(): void {
    clearTimeout(this.openTimer);
  }

  /** Sends a request; `answered` is called once, with undefined if the connection was lost first. */
  request(method: string, params: object, answered: Answered): void {
    if (this.reason !== undefined || this.isClosing) {
      answered(undefined);
      return;
    }
    const id = ++this.lastId;
    this.unanswered.set(id, answered);
    this.send({ id, method, params });
  }

  /** A request whose answer is awaited; undefined if the connection was lost first. */
  call(method: string, params: object): Promise<RpcMessage | undefined> {
    return new Promise((resolve) => this.request(method, params, resolve));
  }

  /** The answer to a request of the daemon. */
  answer(request: RpcMessage, error: RpcError | undefined): void {
    if (request.id !== undefined) this.send(error === undefined ? { id: request.id, result: {} } : { id: request.id, error });
  }

  /** Ends the connection now. */
  abort(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = this.isClosing ? 'the driver is shutting down' : reason;
    clearTimeout(this.openTimer);
    // A close frame with our reason may be on its way: the socket has a moment to deliver it.
    if (this.socket.readyState === WebSocket.CLOSING && !this.isClosing) setTimeout(() => this.socket.terminate(), closeLimitMs).unref();
    else this.socket.terminate();
    const orphans = [...this.unanswered.values()];
    this.unanswered.clear();
    this.endedBy?.(this.reason);
    this.settleEnded();
    for (const answered of orphans) answered(undefined);
  }

  /** Lets what was sent go out, says goodbye, and resolves when the connection has ended. */
  close(): Promise<void> {
    if (this.reason !== undefined) return Promise.resolve();
    if (this.socket.readyState !== WebSocket.OPEN) {
      this.abort('the driver is shutting down');
      return Promise.resolve();
    }
    this.isClosing = true;
    this.socket.close(1000, 'the driver is shutting down');
    const limit = setTimeout(() => this.abort('the driver is shutting down'), closeLimitMs);
    return this.ended.finally(() => clearTimeout(limit));
  }

  private send(message: RpcMessage): void {
    if (this.reason !== undefined || this.isClosing) return;
    const text = JSON.stringify({ jsonrpc: '2.0', ...message });
    if (Buffer.byteLength(text) > messageBytesMax) {
      this.abort(`a message for it has more than ${messageBytesMax} bytes`);
      return;
    }
    this.socket.send(text);
    if (this.socket.bufferedAmount > outgoingBytesMax) this.abort('the daemon does not read what is sent to it');
  }

  private read(data: Buffer, isBinary: boolean): void {
    if (this.reason !== undefined) return;
    this.awake?.();
    if (this.reason !== undefined) return; // Being awake again, the driver has given this connection up.
    if (isBinary) {
      this.refuse(1003, 'binary message; send JSON-RPC 2.0 as text');
      return;
    }
    const message = parseMessage(data.toString('utf8'));
    if (message === undefined) {
      this.refuse(1007, 'not a JSON-RPC 2.0 message (batches are not taken); send one object per message');
    } else if (message.method !== undefined) {
      if (this.received !== undefined) this.received(message);
      else this.answer(message, rpcError(errorCodes.methodNotFound, `'${message.method}' came before the driver was registered.`));
    } else if (typeof message.id === 'number') {
      const answered = this.unanswered.get(message.id);
      this.unanswered.delete(message.id);
      answered?.(message);
    }
  }

  // The peer learns why in the close frame; the connection is over for us at once.
  private refuse(code: number, why: string): void {
    this.socket.close(code, why);
    this.abort(`the other side sent a ${why}`);
  }

  private async authenticate(secret: string, name: string): Promise<void> {
    const key = keyOf(secret);
    const nonce = newNonce();
    const hello = await this.callOrThrow('hello', { nonce, name });
    const daemon = isObject(hello.result) ? hello.result : {};
    if (!isNonce(daemon['nonce'])) throw new Error(`what listens there did not answer the greeting as clustd does (${hello.error?.message ?? 'no proof'})`);

    // Only now, and only to one who knows the secret, do we show that we know it.
    const expected = daemonProof(key, nonce, daemon['nonce']);
    if (!matches(daemon['proof'], expected) && !matches(daemon['oldProof'], expected)) {
      throw new DriverRefusedError(
        `Cannot trust the daemon at ${this.address}: it could not prove that it knows this driver's secret. ` +
          'Use the same secret here as in cluster.secret there (and check that it is clustd that listens on that port).',
      );
    }
    const { error } = await this.callOrThrow('authenticate', { proof: driverProof(key, nonce, daemon['nonce']) });
    if (error !== undefined)
      throw new DriverRefusedError(`The daemon at ${this.address} does not accept this driver's secret: ${error.message} Use the same secret here as in cluster.secret there.`);
  }

  private async callOrThrow(method: string, params: object): Promise<RpcMessage> {
    const answer = await this.call(method, params);
    if (answer === undefined) throw new Error(this.reason);
    return answer;
  }
}
