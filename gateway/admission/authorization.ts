/** What the text of a signature's `authorization` says. */
export interface Authorization {
  /** The public half of the credential. */
  readonly key: string;
  readonly algorithm: string;
  /** What is signed, in its order: "host", "date", "request-line", "digest". */
  readonly signed: readonly string[];
  /** Base64 as it was sent. */
  readonly signature: string;
}

/** Several times what clients send. */
const maxLength = 2048;
const names = ["api_key", "username", "algorithm", "headers", "signature"] as const;
type Name = (typeof names)[number];

/**
 * Reads `api_key="…", algorithm="…", headers="…", signature="…"`, the names in any order and each once; a scheme
 * `hmac` may stand before it, and older clients say `username` for `api_key`. Undefined for anything else.
 */
export function authorizationFromText(text: string): Authorization | undefined {
  if (text.length > maxLength) return undefined;
  const found = parametersFrom(text);
  if (found === undefined) return undefined;
  const { api_key, username, algorithm, headers, signature } = found;
  if ((api_key === undefined) === (username === undefined)) return undefined;
  const key = api_key ?? username;
  if (key === undefined || algorithm === undefined || headers === undefined || signature === undefined)
    return undefined;
  return { key, algorithm, signed: headers.toLowerCase().split(" "), signature };
}

function parametersFrom(text: string): Partial<Record<Name, string>> | undefined {
  const found: Partial<Record<Name, string>> = {};
  const parameter = /\s*([a-z_]+)="([^"]*)"\s*(,|$)/y;
  const scheme = /^\s*hmac\s+/i.exec(text)?.[0].length ?? 0;
  parameter.lastIndex = scheme;
  for (let isLast = false; !isLast; ) {
    const match = parameter.exec(text);
    if (match === null) return undefined;
    const [, name = "", value = "", end] = match;
    if (!isName(name) || found[name] !== undefined) return undefined;
    found[name] = value;
    isLast = end === "";
  }
  return found;
}

function isName(text: string): text is Name {
  return names.some((name) => name === text);
}
