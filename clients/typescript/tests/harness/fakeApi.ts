import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP server on loopback; every request is the test's to answer. */
export class FakeApi {
  readonly server: Server;

  constructor(test: { after(fn: () => Promise<void>): void }, answer: (request: IncomingMessage, body: Record<string, unknown>, response: Reply) => void) {
    this.server = createServer((request, response) => {
      let text = '';
      request.on('data', (data) => (text += data));
      request.on('end', () => answer(request, JSON.parse(text || '{}') as Record<string, unknown>, new Reply(response)));
    });
    test.after(async () => {
      this.server.closeAllConnections();
      await new Promise((resolve) => this.server.close(resolve));
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

export class Reply {
  constructor(readonly response: ServerResponse) {}

  json(value: unknown, status = 200): void {
    this.response.writeHead(status, { 'content-type': 'application/json' });
    this.response.end(JSON.stringify(value));
  }
}
