import { createHash, timingSafeEqual } from "node:crypto";

/** `ak_`, the key's id, and 32 random bytes in base64url. */
const pattern = /^ak_([0-9a-f]{12})_[\w-]{43}$/;

/** Whether text means to be an API key, right or wrong: it cannot be a token, which holds dots. */
export function isApiKey(text: string): boolean {
  return text.startsWith("ak_");
}

/**
 * Finds whose an API key is; `hashes` are of the form `<id>:<SHA-256 of the key in hex>`. One round of SHA-256 is enough
 * here, as it is not for passwords: nobody can guess 32 random bytes. The id is no secret, so that looking it up may
 * take a different time; the hashes are compared in constant time.
 */
export function createApiKeys<Owner>(
  owners: Iterable<{ readonly owner: Owner; readonly hashes: readonly string[] }>,
): (key: string) => Owner | undefined {
  const byId = new Map<string, { owner: Owner; hash: Uint8Array }>();
  for (const { owner, hashes } of owners) {
    for (const text of hashes) byId.set(text.slice(0, 12), { owner, hash: Uint8Array.fromHex(text.slice(13)) });
  }
  return (key) => {
    const entry = byId.get(pattern.exec(key)?.[1] ?? "");
    if (entry === undefined) return undefined;
    return timingSafeEqual(createHash("sha256").update(key).digest(), entry.hash) ? entry.owner : undefined;
  };
}
