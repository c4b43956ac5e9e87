import { createHash, randomBytes } from "node:crypto";

/** A new API key, the headers in which a client sends it, and what the configuration holds of it. */
export function newKey() {
  const id = randomBytes(6).toString("hex");
  const key = `ak_${id}_${randomBytes(32).toString("base64url")}`;
  return {
    key,
    headers: { authorization: `Bearer ${key}` },
    hash: `${id}:${createHash("sha256").update(key).digest("hex")}`,
  };
}
