import { createHash, createHmac } from "node:crypto";
import type { SignedRequest } from "./signature.ts";

/** What a test signs. */
export interface ToSign {
  readonly key: string;
  readonly secret: string;
  readonly date: string;
  readonly host: string;
  readonly method?: string;
  readonly path?: string;
  /** What the text begins with: some clients say `username` or put `hmac` before it. */
  readonly keyName?: string;
  readonly body?: string;
}

/** Signs a request in its URL, as ASF's clients do. */
export function signedUrl(options: ToSign): SignedRequest {
  const { date, host, method = "POST", path = "/v1/private/mmocr" } = options;
  const authorization = authorizationOf(options, `host: ${host}\ndate: ${date}\n${method} ${path} HTTP/1.1`, "");
  const query = new URLSearchParams({ authorization: Buffer.from(authorization).toString("base64"), date, host });
  return requestOf(method, `${path}?${query}`, { host });
}

/** Signs a request and its body in the headers. */
export function signedHeaders(options: ToSign): SignedRequest {
  const { date, host, method = "POST", path = "/v1/private/mmocr", body = "" } = options;
  const digest = `SHA-256=${createHash("sha256").update(body).digest("base64")}`;
  const text = `host: ${host}\ndate: ${date}\n${method} ${path} HTTP/1.1\ndigest: ${digest}`;
  return requestOf(method, path, {
    host,
    date,
    digest,
    authorization: `hmac ${authorizationOf(options, text, " digest")}`,
  });
}

/** A request as an adapter sees it; header names in lower case. */
export function requestOf(method: string, target: string, headers: Readonly<Record<string, string>>): SignedRequest {
  return { method, target: () => target, header: (name) => headers[name.toLowerCase()] ?? null };
}

function authorizationOf({ key, secret, keyName = "api_key" }: ToSign, text: string, more: string): string {
  const signature = createHmac("sha256", secret).update(text).digest("base64");
  return `${keyName}="${key}", algorithm="hmac-sha256", headers="host date request-line${more}", signature="${signature}"`;
}
