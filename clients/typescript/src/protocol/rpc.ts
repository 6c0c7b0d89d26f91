// One JSON-RPC 2.0 message per text message of the WebSocket; docs/protocol.md tells it in words.

/** Largest message, bytes. A larger one closes the connection with 1009. */
export const messageBytesMax = 262_144;

/** Longest text that is put into an error or a reason, characters; the rest is cut, so that a stack trace cannot close the connection. */
export const textCharsMax = 4_000;

export const errorCodes = {
  methodNotFound: -32601,
  invalidParams: -32602,
  triggerFailed: -32001,
  triggerCancelled: -32002,
  triggerSuperseded: -32003,
  noLease: -32004,
  shuttingDown: -32005,
  instanceBusy: -32011,
} as const;

export type RpcId = number | string;

export interface RpcError {
  code: number;
  message: string;
}

/** A request (method and id), a notification (method only) or a response (id, and result or error). */
export interface RpcMessage {
  id?: RpcId;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: RpcError;
}

export function rpcError(code: number, message: string): RpcError {
  return { code, message: cut(message) };
}

/** The message in this text, or undefined if it is not one. */
export function parseMessage(text: string): RpcMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || value['jsonrpc'] !== '2.0') return undefined;
  const { id, method, params, result, error } = value;
  const message: RpcMessage = {};
  if (method !== undefined && method !== null) {
    if (typeof method !== 'string') return undefined;
    message.method = method;
  }
  if (id !== undefined && id !== null) {
    // An id goes back as it came: 1e400 is a number to JSON and none to anybody who reads it.
    if (typeof id !== 'string' && !(typeof id === 'number' && Number.isFinite(id))) return undefined;
    message.id = id;
  }
  if (error !== undefined && error !== null) {
    if (!isObject(error)) return undefined;
    message.error = { code: typeof error['code'] === 'number' ? error['code'] : 0, message: typeof error['message'] === 'string' ? error['message'] : '' };
  }
  if (message.method === undefined && message.id === undefined) return undefined;
  message.params = params;
  message.result = result;
  return message;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function cut(text: string): string {
  return text.length <= textCharsMax ? text : text.slice(0, textCharsMax);
}
