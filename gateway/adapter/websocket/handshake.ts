/** Whether a request asks for a WebSocket. As the predecessor told them apart: anything else is a request like others. */
export function isHandshake({ method, headers }: Request): boolean {
  return method === "GET" && headers.get("upgrade")?.toLowerCase() === "websocket" && headers.has("sec-websocket-key");
}

/** The only version of the protocol that there is in use. */
export const webSocketVersion = "13";
/** Sixteen bytes in base64. */
const keyPattern = /^[A-Za-z0-9+/]{22}==$/;

/** What is wrong with a handshake, in words for its sender; undefined where nothing is. */
export function handshakeMistake({ headers }: Request): string | undefined {
  if (headers.get("sec-websocket-version") !== webSocketVersion) {
    return `the header 'sec-websocket-version' must be ${webSocketVersion}`;
  }
  if (keyPattern.test(headers.get("sec-websocket-key") ?? "")) return undefined;
  return "the header 'sec-websocket-key' must be 16 bytes in base64";
}
