const defaultPort = '3001';

/** Where a daemon listens: `ws://127.0.0.1:3001`, with or without a path, or just `127.0.0.1:3001`. */
export class DaemonAddress {
  private constructor(readonly host: string, readonly url: string) {}

  /** Throws a `TypeError` if the address cannot be used. */
  static parse(text: string): DaemonAddress {
    if (typeof text !== 'string') throw refused(String(text), 'that is not a text');
    let url: URL;
    try {
      url = new URL(text.includes('://') ? text : `ws://${text}`);
    } catch {
      throw refused(text, 'that is not an address');
    }
    if (url.protocol === 'wss:') throw refused(text, "TLS is not supported for drivers, which belong on the daemon's own machine");
    if (url.protocol !== 'ws:') throw refused(text, `the scheme '${url.protocol.slice(0, -1)}' is unknown`);
    if (url.hostname === '') throw refused(text, 'that is not an address');
    // "ws://host" and "ws://host:80" look the same to URL; nobody runs clustd on port 80 and writes it out.
    const host = `${url.hostname}:${url.port || defaultPort}`;
    return new DaemonAddress(host, `ws://${host}${url.pathname === '/' ? '/v1/driver' : url.pathname}${url.search}`);
  }

  /** As in the HTTP Host header. */
  toString(): string {
    return this.host;
  }
}

function refused(text: string, why: string): TypeError {
  return new TypeError(`Cannot use '${text}' as the address of a daemon: ${why}. Write it like ws://127.0.0.1:3001.`);
}
